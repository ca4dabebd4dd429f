"""Direct pieces of a metric against the direct attribution of a logit sum, which is tested by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.models import LanguageModel
from workbench.patch.components import ComponentSet
from workbench.patch.direct_gradients import direct_times_difference
from workbench.patch.direct_logit_attribution import direct_attribution
from workbench.patch.inputs import ModelInputs, batch_of
from workbench.patch.logit_combinations import logit_contrast
from workbench.patch.metrics import Metric, contrast, expected_confidence_of
from workbench.patch.written_confidence import number_positions
from workbench.trace.edits import SiteKey
from workbench.trace.record import record
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]


def pieces(
    lm: LanguageModel, metric: Metric, cut: ComponentSet, size: float
) -> tuple[torch.Tensor, dict[SiteKey, torch.Tensor]]:
    """The pieces of writing ``size`` in every entry of every state; of zeros, the negative of what
    the states add.
    """
    nodes = metric.tree.size + 1
    positions = torch.as_tensor([[len(p) - 1 + k for k in range(nodes)] for p in PROMPTS])
    batch = batch_of(ModelInputs(lm, PROMPTS, positions), torch.arange(len(PROMPTS)), metric.tree)
    donors = {
        at: torch.full((len(PROMPTS), nodes, lm.n_heads * lm.head_size if at[1] == "head_out" else lm.width), size)
        for at in cut.places()
    }  # fmt: skip
    return direct_times_difference(lm, batch, cut, metric, donors)


@pytest.mark.parametrize("family", ["llama", "olmo2", "gpt2", "granite", "cohere2"])
def test_of_a_logit_difference_they_are_the_direct_attribution(
    make_tiny: MakeTiny, family: str
) -> None:
    lm = make_tiny(family)
    cut = ComponentSet(tuple(range(lm.n_layers)), ("attn_out", "mlp_out", "head_out"))
    value, found = pieces(lm, contrast([5, 9], [6, 7, 8]), cut, 0.0)
    wanted = direct_attribution(
        lm, PROMPTS, logit_contrast([5, 9], [6, 7, 8], rows=3), tokens_per_forward=1000
    )
    torch.testing.assert_close(value.double(), wanted.total, rtol=1e-4, atol=1e-5)
    for layer in range(lm.n_layers):
        for component, part in (
            ("attn_out", wanted.attention[:, layer]),
            ("mlp_out", wanted.mlp[:, layer]),
            ("head_out", wanted.heads[:, layer]),
        ):
            mine = found[layer, component][..., 0]  # type: ignore[index]
            torch.testing.assert_close(-mine.double(), part, rtol=1e-4, atol=1e-5)


def test_of_a_number_they_are_gradients_through_the_frozen_norm_at_every_node(
    tiny_lm: LanguageModel,
) -> None:
    trie = trie_of(tiny_lm)
    metric = expected_confidence_of(trie, 100)
    cut = ComponentSet((1, 3), ("mlp_out", "head_out"))
    _, found = pieces(tiny_lm, metric, cut, 0.5)
    positions = number_positions(PROMPTS, trie).tolist()

    def seen(*sites: Site) -> torch.Tensor:
        return record(tiny_lm, PROMPTS, positions, sites, tree=trie.tree).double()

    stream = seen(Site(3))[:, 0]
    scale = (stream.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    leaf = stream.clone().requires_grad_()
    final = leaf / scale * tiny_lm.final_norm().weight
    metric.of(tiny_lm, final.float()).sum().backward()
    assert leaf.grad is not None
    for layer in cut.layers:
        mlp = (leaf.grad * (0.5 - seen(Site(layer, "mlp_out"))[:, 0])).sum(dim=-1)
        torch.testing.assert_close(found[layer, "mlp_out"].double(), mlp, rtol=1e-3, atol=1e-6)
        own = seen(*(Site(layer, "head_out", head) for head in range(tiny_lm.n_heads)))
        columns = tiny_lm.layers()[layer].self_attn.o_proj.weight.double().unflatten(1, (4, 8))
        added = torch.einsum("whk,rhnk->rhnw", columns, 0.5 - own)
        heads = (added * leaf.grad[:, None]).sum(dim=-1)
        torch.testing.assert_close(found[layer, "head_out"].double(), heads, rtol=1e-3, atol=1e-6)
