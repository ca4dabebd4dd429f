from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.attribution import attribute, unverified_scores
from workbench.patch.components import whole_model
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import contrast
from workbench.patch.verification import Check, choose, compare, true_effects, verify
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Patch
from workbench.trace.record import record
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
DONORS = [[15, 6, 17, 8], [20, 25, 22, 23, 40, 24, 23], [31, 30, 32, 33, 35, 34]]
METRIC = contrast([5, 9], [6, 7, 8])
BUDGET = 10**6


def pair(lm: LanguageModel) -> tuple[ModelInputs, ModelInputs]:
    base, donor = (
        ModelInputs(lm, p, torch.tensor([[len(row) - 2, len(row) - 1] for row in p]))
        for p in (PROMPTS, DONORS)
    )
    return base, donor


def test_effects_are_those_of_the_loop(tiny_lm: LanguageModel) -> None:
    base, donor = pair(tiny_lm)
    sites = (Site(0, "head_out", 1), Site(2, "head_out", 3), Site(0, "head_out", 1))
    effects = true_effects(base, donor, METRIC, sites, (1, 1, 0), tokens_per_forward=13)
    for index, (site, at) in enumerate(zip(sites, (1, 1, 0), strict=True)):
        state = record(tiny_lm, DONORS, donor.positions[:, [at]].tolist(), [site])[:, 0, 0]
        out = loop_branches(
            tiny_lm,
            PROMPTS,
            [[Patch(site, base.positions[:, at], state)]],
            METRIC.readout,
            tokens_per_forward=BUDGET,
        )
        np.testing.assert_allclose(
            effects[:, index], (out.patched[:, 0] - out.base).numpy(), rtol=1e-4, atol=1e-5
        )
        assert np.abs(effects[:, index]).min() > 1e-4


def test_largest_and_random_cells_do_not_overlap() -> None:
    scores = np.stack([np.arange(24.0).reshape(2, 12), -np.arange(24.0).reshape(2, 12)])
    largest, drawn = choose(scores, Check(cells=5))
    assert sorted(largest) == [19, 20, 21, 22, 23]
    assert len(drawn) == 5
    assert not {*drawn} & {*largest}
    again = choose(scores, Check(cells=5, seed=1))[1]
    assert {*again} != {*drawn}
    few, rest = choose(scores[:, :, :3], Check(cells=5))
    assert sorted([*few, *rest]) == list(range(6))


def test_rho_and_slope_are_the_textbooks() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(30, 6)).round(1)
    effects = 0.5 * scores + rng.normal(size=(30, 6), scale=0.3)
    rho, slope = compare(scores, effects, resamples=500, seed=0)
    assert rho.value == pytest.approx(spearmanr(scores.ravel(), effects.ravel()).statistic)
    assert slope.value == pytest.approx(
        np.linalg.lstsq(scores.reshape(-1, 1), effects.ravel(), rcond=None)[0].item()
    )
    assert slope.low < slope.value < slope.high
    assert rho.low < rho.value < rho.high
    assert slope.high - slope.low < 0.2
    assert (rho.n, slope.n) == (30, 30)


def test_what_cannot_be_known_is_nan() -> None:
    one = compare(np.array([[1.0, 2.0]]), np.array([[2.0, 4.0]]), resamples=10, seed=0)
    assert [estimate.value for estimate in one] == [pytest.approx(1), pytest.approx(2)]
    assert all(np.isnan([estimate.low, estimate.high]).all() for estimate in one)
    rho, slope = compare(np.zeros((3, 2)), np.ones((3, 2)), resamples=10, seed=0)
    assert np.isnan([rho.value, slope.value, rho.low, slope.high]).all()


def test_a_wrong_map_is_found_out(make_tiny: MakeTiny) -> None:
    """Scores with the sign turned have slope and rho turned: the verification patches, it does
    not repeat the scores.
    """
    lm = make_tiny("llama", initializer_range=0.02)
    base, donor = pair(lm)
    cut = whole_model(lm, ("resid_post", "head_out"))
    found = attribute(
        base, donor, cut, METRIC, tokens_per_forward=BUDGET, check=Check(cells=3, resamples=50)
    )
    scores = unverified_scores(base, donor, cut, METRIC, tokens_per_forward=BUDGET)
    turned = {component: -of for component, of in scores.of.items()}
    wrong = verify(
        base, donor, cut, METRIC, turned, Check(cells=3, resamples=50), tokens_per_forward=BUDGET
    )
    for right, false in zip(found.verification.agreements, wrong.agreements, strict=True):
        np.testing.assert_allclose(right.effects, false.effects, rtol=1e-5, atol=1e-9)
        assert false.slope.value == pytest.approx(-right.slope.value)
        assert false.rho.value == pytest.approx(-right.rho.value)


def test_a_result_states_its_verification(tiny_lm: LanguageModel) -> None:
    cut = whole_model(tiny_lm)
    found = attribute(
        *pair(tiny_lm), cut, METRIC, tokens_per_forward=BUDGET, check=Check(cells=4, resamples=50)
    )
    table = found.verification.table()
    assert list(table["component"]) == [component for component in cut.components for _ in range(2)]
    assert set(table["cells"]) == {4}
    assert set(table["items"]) == {3}
    said = str(found.verification).splitlines()
    assert len(said) == 12
    assert said[-1].startswith("head_out, 4 random cells: Spearman ")
    with pytest.raises(WorkbenchError, match="No largest cells of attn_out"):
        attribute(
            *pair(tiny_lm),
            whole_model(tiny_lm, ("mlp_out",)),
            METRIC,
            tokens_per_forward=BUDGET,
            check=Check(cells=1),
        ).verification.of("attn_out", "largest")


@pytest.mark.parametrize("wrong", [{"cells": 0}, {"resamples": 0}])
def test_no_attribution_without_a_check(wrong: dict[str, int]) -> None:
    with pytest.raises(WorkbenchError, match="always checked"):
        Check(**wrong)
