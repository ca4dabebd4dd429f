from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.models.slices import Slices
from workbench.trace import Branch, Patch, Site, patch_branches, record
from workbench.trace.slices import SliceShard, slice_shard

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10], [20, 21, 22, 23]]
LAST = torch.tensor([5, 3])
FAMILIES = [
    "llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3",
    "olmo2", "gpt_oss", "cohere2", "granite", "smollm3", "gpt_neox", "gpt2",
]  # fmt: skip


def test_one_process_has_all_slices(tiny_lm: LanguageModel) -> None:
    shard = slice_shard(tiny_lm, "head_out")
    assert shard is not None
    assert (shard.slices, shard.first, shard.count, shard.group) == (Slices(4, 8, 32), 0, 32, None)
    assert slice_shard(tiny_lm, "mlp_out") is None


def test_slices_are_read_and_written_at_their_entries() -> None:
    shard = SliceShard("neuron", Slices(6, 1, 6), 0, 6)
    hidden = torch.arange(12.0).reshape(1, 2, 6)
    sites = [Site(0, "neuron", 4, 2), Site(0, "neuron", 1)]
    pair, alone = shard.read(hidden, torch.tensor([[1, 0]]), sites)
    assert pair.tolist() == [[[10, 11], [4, 5]]]
    assert alone.tolist() == [[[7], [1]]]
    rows, columns = torch.tensor([[0]]), torch.tensor([[1, 0]])
    shard.write(hidden, (rows, columns), [sites[0]] * 2, torch.full((1, 2, 2), -1.0), False)
    assert hidden[0, :, 4:].tolist() == [[-1, -1], [-1, -1]]
    assert hidden[0, :, :4].tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    taken = shard.take(hidden, (rows, columns), [Site(0, "neuron", 3, 2), sites[0]], 2)
    assert taken.tolist() == [[[9, -1], [-1, -1]]]
    with pytest.raises(WorkbenchError, match="has 5 numbers a token where 6 slices of 1"):
        shard.read(hidden[..., :5], columns, sites)


def _heads(lm: LanguageModel, zeroed: tuple[str, ...]) -> torch.Tensor:
    """What the heads of layer 2 give at the last token where all named slices of that layer are
    zero at every token.
    """
    counts = {"query": lm.n_heads, "key": lm.n_key_value_heads, "value": lm.n_key_value_heads}
    prompt = PROMPTS[0]
    branch: Branch = [
        Patch(Site(2, name, index), torch.tensor([at]), torch.zeros(1, lm.head_size))  # type: ignore[arg-type]
        for name in zeroed
        for index in range(counts[name])
        for at in range(len(prompt))
    ]
    found: list[torch.Tensor] = []
    projection = lm.layers()[2].get_submodule(lm.architecture.attention_output)
    handle = projection.register_forward_pre_hook(lambda _, args: found.append(args[0].clone()))
    patch_branches(lm, [prompt], [branch], lambda logits: logits, tokens_per_forward=10**6)
    handle.remove()
    # The branch's copies stand behind the prompt; the last of them is the last token's.
    return found[0][0, -1]


@pytest.mark.parametrize("family", FAMILIES)
def test_queries_keys_and_values_are_what_the_row_calls_them(
    make_tiny: MakeTiny, family: str
) -> None:
    """Zero queries and zero keys both make attention look alike at all tokens, which real ones do
    not; zero values leave the heads nothing to give.
    """
    lm = make_tiny(family)
    no_query, no_key, neither = (_heads(lm, z) for z in (("query",), ("key",), ("query", "key")))
    torch.testing.assert_close(no_query, no_key, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(no_query, neither, rtol=1e-4, atol=1e-6)
    nothing = _heads(lm, ("value",))
    assert float(nothing.abs().max()) < 1e-6 < float(no_query.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_all_neurons_together_are_what_the_mlp_adds(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    if missing_component_reason(lm, "neuron"):
        pytest.skip("experts have a hidden layer each")
    whole, added = Site(1, "neuron", 0, lm.mlp_width), Site(1, "mlp_out")
    places = LAST[:, None].tolist()
    donors = [[n + 1 for n in prompt] for prompt in PROMPTS]
    branches = [
        [Patch(site, LAST, record(lm, donors, places, [site])[:, 0, 0])] for site in (whole, added)
    ]
    out = patch_branches(lm, PROMPTS, branches, lambda logits: logits, tokens_per_forward=10**6)
    torch.testing.assert_close(out.patched[:, 0], out.patched[:, 1], rtol=1e-4, atol=1e-5)
    assert float((out.patched[:, 0] - out.base).abs().max()) > 1e-3
