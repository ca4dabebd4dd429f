"""Scores of edges against true path patches, which they meet where states differ little."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.patch import Check, ModelInputs, contrast, edge_effects, path_effects
from workbench.patch.edge_attribution import edges_between, propose_edges, score_edges
from workbench.trace import Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23, 24], [30, 31, 32, 33, 34, 35]]
METRIC = contrast([5, 9], [6, 7, 8])
BUDGET = 10**6
ENDS = torch.tensor([[7, 7], [4, 4], [5, 5]])
EARLIER = torch.tensor([[3, 7], [2, 4], [5, 5]])


def nearly_alike(make_tiny: MakeTiny, family: str) -> tuple[LanguageModel, LanguageModel]:
    """A model, and one whose embeddings differ a little, so that effects are nearly linear."""
    pair = [make_tiny(family), make_tiny(family)]
    for lm in pair:
        lm.model.double()
    weight = pair[1].embedding().weight
    with torch.no_grad():
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
        weight += 1e-4 * noise.double()
    return pair[0], pair[1]


def parts(lm: LanguageModel) -> tuple[list[Site], list[Site]]:
    heads = [Site(layer, "head_out", layer) for layer in range(4)]
    whole = [Site(1, "attn_out"), Site(0, "mlp_out"), Site(2, "mlp_out")]
    sent = [site for site in [*heads, *whole] if not missing_component_reason(lm, site.component)]
    return [Site(0, "resid_pre"), *sent], [*sent, Site(3, "resid_post")]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox", "granite", "gpt2"])
@pytest.mark.parametrize("positions", [ENDS, EARLIER], ids=["end", "earlier"])
def test_scores_are_the_effects_of_small_changes(
    make_tiny: MakeTiny, family: str, positions: torch.Tensor
) -> None:
    lm, other = nearly_alike(make_tiny, family)
    senders, receivers = parts(lm)
    if positions is EARLIER:  # only attention reads other tokens than its own
        receivers = [site for site in receivers if site.component in ("head_out", "attn_out")]
    base, donor = ModelInputs(lm, PROMPTS, positions), ModelInputs(other, PROMPTS, positions[:, :1])
    edges = edges_between(base, senders, receivers)
    assert len(edges) > 8
    found = score_edges(base, donor, edges, METRIC, tokens_per_forward=BUDGET)
    true = edge_effects(base, donor, edges, METRIC, tokens_per_forward=BUDGET).effects
    assert float(true.abs().max()) > 1e-7
    assert float((found.scores - true).abs().max() / true.abs().max()) < 0.02
    assert found.largest(1)[0] == edges[int(found.scores.abs().mean(dim=0).argmax())]


@pytest.mark.parametrize("family", ["llama", "olmo2", "gpt_neox"])
def test_scores_of_what_an_mlp_is_given_are_those_of_the_mlp(
    make_tiny: MakeTiny, family: str
) -> None:
    """olmo2 gives its MLP the stream itself, which goes on beside it."""
    lm, other = nearly_alike(make_tiny, family)
    base, donor = ModelInputs(lm, PROMPTS, ENDS), ModelInputs(other, PROMPTS, ENDS[:, :1])
    edges = [(Site(0, "mlp_out"), Site(2, part)) for part in ("mlp_in", "mlp_out")]
    found = score_edges(base, donor, edges, METRIC, tokens_per_forward=BUDGET).scores
    assert float(found.abs().max()) > 1e-9
    torch.testing.assert_close(found[:, 0], found[:, 1], rtol=1e-6, atol=0)


def test_chosen_edges_are_those_of_all_pairs(tiny_lm: LanguageModel) -> None:
    base = ModelInputs(tiny_lm, PROMPTS, ENDS)
    donor = ModelInputs(tiny_lm, [row[::-1] for row in PROMPTS], ENDS[:, :1])
    senders = [Site(0, "head_out", 1), Site(1, "mlp_out")]
    receivers = [Site(2, "head_out", 0), Site(2, "mlp_out"), Site(3, "resid_post")]
    every = path_effects(base, donor, senders, receivers, METRIC, tokens_per_forward=BUDGET)
    edges = [(senders[1], receivers[0]), (senders[0], receivers[2]), (senders[1], receivers[1])]
    some = edge_effects(base, donor, edges, METRIC, tokens_per_forward=BUDGET)
    expected = torch.stack(
        [every.effects[:, 1, 0], every.effects[:, 0, 2], every.effects[:, 1, 1]], 1
    )
    torch.testing.assert_close(some.effects, expected)


def test_proposals_are_verified_by_true_patches(tiny_lm: LanguageModel) -> None:
    base = ModelInputs(tiny_lm, PROMPTS, ENDS)
    donor = ModelInputs(tiny_lm, [row[::-1] for row in PROMPTS], ENDS[:, :1])
    parts = [Site(layer, "head_out", head) for layer in range(4) for head in range(4)]
    parts += [Site(layer, "mlp_out") for layer in range(4)]
    found = propose_edges(
        base, donor, parts, parts, METRIC, tokens_per_forward=BUDGET, check=Check(5, resamples=50)
    )
    largest, drawn = found.agreements
    assert (largest.kind, drawn.kind) == ("largest", "random")
    assert [*largest.edges] == found.found.largest(5)
    assert not {*largest.edges} & {*drawn.edges}
    true = edge_effects(base, donor, largest.edges, METRIC, tokens_per_forward=BUDGET)
    torch.testing.assert_close(torch.from_numpy(largest.effects), true.effects.double())
    assert "largest edges: Spearman" in str(largest)


def test_no_path_is_refused_before_a_forward(tiny_lm: LanguageModel) -> None:
    tiny_lm.decoder().forward = None
    base = ModelInputs(tiny_lm, PROMPTS, ENDS)
    donor = ModelInputs(tiny_lm, PROMPTS, ENDS[:, :1])
    check = Check(5, resamples=50)
    with pytest.raises(WorkbenchError, match="No path leads from any"):
        propose_edges(
            base,
            donor,
            [Site(3, "mlp_out")],
            [Site(1, "mlp_out")],
            METRIC,
            tokens_per_forward=BUDGET,
            check=check,
        )
    with pytest.raises(WorkbenchError, match="it is read before it is written"):
        edge_effects(
            base,
            donor,
            [(Site(3, "mlp_out"), Site(1, "mlp_out"))],
            METRIC,
            tokens_per_forward=BUDGET,
        )
