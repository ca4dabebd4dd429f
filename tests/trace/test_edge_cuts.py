"""Knocked-out attention edges: packed, in the loop, on kept prompts, and in models' own forwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from tests.support.tiny_models import EAGER, LOOPED
from tests.support.uneven_rows import LENGTHS, OVERRIDES, ROWS, TREE, some_logits
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import (
    AttentionKnockout,
    Branch,
    Patch,
    Site,
    loop_branches,
    patch_branches,
)
from workbench.trace.backends import engine
from workbench.trace.backends.kept_prefix import KeptPrefixBackend
from workbench.trace.branches import branch_columns, lay_out
from workbench.trace.edge_cuts import EdgeCut, hide_edges
from workbench.trace.layout import pad_prompts
from workbench.trace.suffix import cache_common_prefix

MakeTiny = Callable[..., LanguageModel]
FAMILIES = (
    "llama",
    "mistral",
    "qwen3_moe",
    "gemma2",
    "gemma3_text",
    "gpt_oss",
    "olmo2",
    "cohere2",
    "gpt_neox",
    "gpt2",
)
ATTENTION = {"gpt2": "attn", "gpt_neox": "attention"}
HIDDEN = -1e30


def knockout(
    queries: Sequence[int], keys: Sequence[int], layers: Sequence[int], heads: Any = None
) -> AttentionKnockout:
    """Tokens are counted from each row's last one, backwards."""
    ends = LENGTHS[:, None] - 1
    return AttentionKnockout(
        ends - torch.tensor([queries]), ends - torch.tensor([keys]), tuple(layers), heads
    )


def some_branches(lm: LanguageModel) -> list[Branch]:
    """Windows, single heads, several queries, nodes as queries and keys, and patches beside."""
    value = torch.randn((3, lm.width), generator=torch.Generator().manual_seed(3))
    return [
        *[[knockout((0,), (1, 2), range(first, first + 2))] for first in range(3)],
        [knockout((0,), (2,), range(4))],
        [knockout((0, 1), (2, 3), [1, 2])],
        [knockout((1,), (2,), [0, 3], heads=[0, 3]), knockout((0,), (1,), [3])],
        [knockout((0,), (1, 2, 3), [2], heads=[1])],
        [knockout((-1,), (0, 2), [0, 1])],
        [knockout((-2,), (-1,), [1, 2, 3], heads=[2])],
        [knockout((0,), (0,), [1])],
        [knockout((0,), (1,), [3]), Patch(Site(1), LENGTHS - 2, value)],
        [Patch(Site(2, "attn_out"), LENGTHS - 1, value, "add"), knockout((1,), (1, 3), [0])],
        [Patch(Site(2), LENGTHS - 1, value)],
    ]


@contextmanager
def own_masks(lm: LanguageModel, branch: Branch, row: int, extra: Sequence[int]) -> Any:
    """Hide the edges and write the patches in a plain forward of one unpadded string, by hooks on
    the attention modules that know nothing of packing.
    """
    total = len(ROWS[row]) + len(extra)
    types = getattr(lm.config, "layer_types", None)
    window = getattr(lm.config, "sliding_window", None)
    handles = []

    def mask_of(layer: int) -> torch.Tensor:
        mask = torch.zeros((1, lm.n_heads, total, total))
        slides = window and (types is None or types[layer] == "sliding_attention")
        for query in range(total):
            for key in range(total):
                if key > query or (slides and query - key >= window):
                    mask[0, :, query, key] = HIDDEN
        for each in branch:
            if isinstance(each, AttentionKnockout) and layer in each.layers:
                heads = range(lm.n_heads) if each.heads is None else each.heads
                for query in each.queries[row].tolist():
                    for key in each.keys[row].tolist():
                        if max(query, key) < total:  # the string is the path to node 1
                            mask[0, list(heads), query, key] = HIDDEN
        return mask

    def attend(layer: int) -> Callable[..., Any]:
        def hook(module: Any, args: Any, kwargs: Any) -> Any:
            return args, {**kwargs, "attention_mask": mask_of(layer)}

        return hook

    for number, layer in enumerate(lm.layers()):
        module = layer.get_submodule(ATTENTION.get(lm.architecture.family, "self_attn"))
        handles.append(module.register_forward_pre_hook(attend(number), with_kwargs=True))
    for each in branch:
        if isinstance(each, Patch):
            module = lm.layers()[each.site.layer]
            if each.site.component == "attn_out":
                module = module.get_submodule(lm.architecture.attention_added)
            handles.append(module.register_forward_hook(writes(each, row)))
    yield
    for handle in handles:
        handle.remove()


def writes(patch: Patch, row: int) -> Callable[..., Any]:
    def hook(module: Any, args: Any, output: Any) -> Any:
        states = (output if torch.is_tensor(output) else output[0]).clone()
        at, value = int(patch.positions[row]), patch.value[row]
        states[0, at] = states[0, at] + value if patch.mode == "add" else value
        return states if torch.is_tensor(output) else (states, *output[1:])

    return hook


def largest_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_is_the_loop_and_plain_forwards(make_tiny: MakeTiny, family: str) -> None:
    """Rows of unequal length, one pass and many, and the model's own layers under masks by hand."""
    lm = make_tiny(family, **OVERRIDES.get(family, {}))
    lm.base().set_attn_implementation("eager" if family in EAGER else "sdpa")
    branches = some_branches(lm)
    loop = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=1000, tree=TREE)
    moved = (loop.patched - loop.base[:, None]).abs().amax(dim=(0, 2, 3))
    assert (moved > 1e-4).all()
    for budget in (100_000, 60):
        packed = patch_branches(
            lm, ROWS, branches, some_logits, tokens_per_forward=budget, tree=TREE
        )
        assert largest_error(packed.base, loop.base) < 1e-5
        assert largest_error(packed.patched, loop.patched) < 1e-5
    for number, branch in enumerate(branches):
        row = number % 3
        for node, extra in ((0, ()), (2, (40, 41))):
            with own_masks(lm, branch, row, extra), torch.no_grad():
                ids = torch.tensor([[*ROWS[row], *extra]])
                expected = lm.base()(input_ids=ids, use_cache=False).logits[0, -1, :50].float()
            assert largest_error(loop.patched[row, number, node], expected) < 1e-4, number


def test_a_branch_begins_before_its_first_cut_layer_and_copies_from_its_first_query() -> None:
    prompts = pad_prompts(ROWS, 0, torch.device("cpu"))
    branches: list[Branch] = [
        [knockout((0,), (1,), [2, 3])],
        [knockout((1, 2), (3,), [0])],
        [knockout((0,), (1,), [3]), Patch(Site(1), LENGTHS - 3, torch.zeros(3, 32))],
    ]
    positions = (LENGTHS - 3)[:, None]
    where = branch_columns(prompts, branches, positions, torch.arange(3))
    assert where.first_layers == (1, -1, 1)
    assert where.first().tolist() == [9, 7, 7]
    layout = lay_out(prompts, TREE, where, [1, 0], prompts.columns)
    assert layout.tail.first_layer == (-1,) * 6 + (1,) * 4
    early, late = layout.cuts
    assert early.queries.tolist() == [[11, 10]] * 3
    assert early.keys.tolist() == [[6]] * 3
    assert (late.layers, late.queries.tolist(), late.keys.tolist()) == (
        (2, 3),
        [[16]] * 3,
        [[8]] * 3,
    )


def test_a_mask_has_heads_only_where_a_cut_names_them() -> None:
    mask = torch.zeros((2, 1, 4, 4))
    queries, keys = torch.tensor([[3], [2]]), torch.tensor([[1, 2], [0, 0]])
    every = hide_edges(mask, [EdgeCut((0,), None, queries, keys)], 0, range(3))
    assert every.shape == (2, 1, 4, 4)
    assert (every < -1e29).nonzero().tolist() == [[0, 0, 3, 1], [0, 0, 3, 2], [1, 0, 2, 0]]
    one = hide_edges(mask, [EdgeCut((0,), (5,), queries, keys)], 0, range(4, 7))
    assert one.shape == (2, 3, 4, 4)
    assert (one < -1e29).nonzero().tolist() == [[0, 1, 3, 1], [0, 1, 3, 2], [1, 1, 2, 0]]
    elsewhere = hide_edges(mask, [EdgeCut((0,), (3,), queries, keys)], 0, range(4, 7))
    assert not elsewhere.any()
    assert not mask.any()


def test_kept_prefixes_give_the_same(tiny_lm: LanguageModel) -> None:
    """Keys among the kept tokens; queries after them."""
    shared = [5, 6, 7, 8, 9]
    prompts = [[*shared, *rest] for rest in ([20, 21, 22], [30, 31], [40, 41, 42, 43])]
    ends = torch.tensor([[7], [6], [8]])
    branches: list[Branch] = [
        [AttentionKnockout(ends, ends - torch.tensor([[1, 4]]), (layer,), heads)]
        for layer in range(4)
        for heads in (None, (1, 2))
    ]
    whole = patch_branches(
        tiny_lm, prompts, branches, some_logits, tokens_per_forward=1000, tree=TREE
    )
    kept = KeptPrefixBackend(tiny_lm, cache_common_prefix(tiny_lm, shared, 3))
    for budget in (1000, 20):
        found = kept.patch(prompts, branches, some_logits, tokens_per_forward=budget, tree=TREE)
        assert largest_error(found.patched, whole.patched) < 1e-5
    with pytest.raises(WorkbenchError, match="what it attends to stay as they are"):
        kept.patch(
            prompts,
            [[AttentionKnockout(ends * 0 + 3, ends * 0, (1,))]],
            some_logits,
            tokens_per_forward=1000,
        )


@pytest.mark.parametrize("run", [patch_branches, loop_branches])
@pytest.mark.parametrize("family", LOOPED)
def test_families_with_other_ways_between_tokens_are_refused(
    make_tiny: MakeTiny, family: str, run: Callable[..., Any]
) -> None:
    lm = make_tiny(family)
    with pytest.raises(WorkbenchError, match="which would go round the cut"):
        run(lm, ROWS, [[knockout((0,), (1,), [0])]], some_logits, tokens_per_forward=1000)


def test_engines_without_cuts_say_so(tiny_lm: LanguageModel) -> None:
    backend = engine("nnsight")(tiny_lm)
    with pytest.raises(WorkbenchError, match="cuts no attention edges"):
        backend.patch(ROWS, [[knockout((0,), (1,), [0])]], some_logits, tokens_per_forward=1000)
