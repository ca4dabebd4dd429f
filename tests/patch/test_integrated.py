from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models import LanguageModel
from workbench.models.slices import slices_of
from workbench.patch.attribution import unverified_scores
from workbench.patch.components import ComponentSet, whole_model
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import Metric, contrast
from workbench.trace.interventions import Patch
from workbench.trace.packed import patch_branches
from workbench.trace.record import record
from workbench.trace.sites import COMPONENTS, Component, Site

MakeTiny = Callable[..., LanguageModel]
FAMILIES = ["llama", "gemma2", "cohere2", "gpt2", "gpt_neox", "granite"]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
DONORS = [[8, 6, 7, 5, 9, 11, 10], [20, 25, 22, 24], [30, 31, 39, 33, 34, 38]]
BUDGET = 10**6
SMOOTH = {"initializer_range": 0.05}


def every_token(prompts: list[list[int]], row: int) -> torch.Tensor:
    return torch.arange(len(prompts[row]))[None]


def patched_together(lm: LanguageModel, row: int, sites: list[Site], metric: Metric) -> float:
    """Metric with the donor's states at all positions of all ``sites`` at once, minus the
    base's.
    """
    at = every_token(PROMPTS, row)
    states = record(lm, [DONORS[row]], at.tolist(), sites)
    branch = [
        Patch(site, at[:, n], states[:, i, n])
        for i, site in enumerate(sites)
        for n in range(at.shape[1])
    ]
    out = patch_branches(lm, [PROMPTS[row]], [branch], metric.readout, tokens_per_forward=BUDGET)
    return float(metric.of_reduced(out.patched[:, 0]) - metric.of_reduced(out.base))


@pytest.mark.parametrize("family", FAMILIES)
def test_completeness_over_every_cut(make_tiny: MakeTiny, family: str) -> None:
    """Scores of a place sum to the effect of patching all of it; for a cut of the stream, to
    donor minus base metric.
    """
    lm, metric = make_tiny(family, **SMOOTH), contrast([5], [6, 7])
    cut = ComponentSet((1, 3), whole_model(lm, COMPONENTS).components)
    base, donor = (ModelInputs(lm, [p[0]], every_token(p, 0)) for p in (PROMPTS, DONORS))
    scores = unverified_scores(
        base, donor, cut, metric, tokens_per_forward=BUDGET, steps=48 if family == "gemma2" else 24
    )
    gap = float(scores.donor - scores.base)
    assert abs(gap) > 1e-3
    for component, of in scores.of.items():
        for place, layer in enumerate(cut.layers):
            slices = slices_of(lm, component)
            heads = [None] if slices is None else list(range(slices.count))
            expected = patched_together(
                lm, 0, [Site(layer, component, head) for head in heads], metric
            )
            assert float(of[0, place].sum()) == pytest.approx(
                expected, rel=1e-3, abs=1e-3 * abs(gap)
            )
            if component.startswith("resid"):
                assert expected == pytest.approx(gap, rel=1e-3)


@pytest.mark.parametrize("budget", [BUDGET, 8])
def test_rows_padded_together_or_alone(tiny_lm: LanguageModel, budget: int) -> None:
    positions = torch.tensor([[1, 6], [0, 3], [2, 5]])
    cut = ComponentSet((0, 2), ("resid_pre", "resid_mid", "mlp_out", "head_out"))
    runs = [ModelInputs(tiny_lm, prompts, positions) for prompts in (PROMPTS, DONORS)]
    together = unverified_scores(*runs, cut, contrast([5], [6]), tokens_per_forward=budget, steps=3)
    for row in range(3):
        pair = [
            ModelInputs(tiny_lm, [prompts[row]], positions[row : row + 1])
            for prompts in (PROMPTS, DONORS)
        ]
        alone = unverified_scores(
            *pair, cut, contrast([5], [6]), tokens_per_forward=BUDGET, steps=3
        )
        for component, of in alone.of.items():
            torch.testing.assert_close(
                together.of[component][row : row + 1], of, rtol=1e-3, atol=1e-5
            )


@pytest.mark.parametrize(
    "component", ["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_out"]
)
def test_layers_below_are_not_computed_again(tiny_lm: LanguageModel, component: Component) -> None:
    """The stream climbs: the first layer's MLP runs once for donor, base and climb, never once a
    step.
    """
    calls = 0

    def count(module: Any, args: Any, output: Any) -> None:
        nonlocal calls
        calls += 1

    handle = tiny_lm.layers()[0].get_submodule("mlp").register_forward_hook(count)
    positions = torch.tensor([[1, 6], [0, 3], [2, 5]])
    runs = [ModelInputs(tiny_lm, prompts, positions) for prompts in (PROMPTS, DONORS)]
    unverified_scores(
        *runs,
        ComponentSet((2, 3), (component,)),
        contrast([5], [6]),
        tokens_per_forward=BUDGET,
        steps=5,
    )
    handle.remove()
    assert calls == 3
