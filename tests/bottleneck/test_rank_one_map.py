from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.rank_one_map import (
    Strength,
    best_strength,
    candidates,
    log_odds,
    mapped_branch,
    standardise,
    unit_of,
)
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.mean_gradients import mean_gradients
from workbench.patch.metrics import high_log_odds_of
from workbench.patch.written_confidence import number_positions

BUDGET = 10**6


def test_a_reading_has_mean_nought_and_spread_one_on_training_questions() -> None:
    p = np.random.default_rng(0).uniform(0.05, 0.95, 50)
    scale = standardise(p)
    assert scale.z(p).mean() == pytest.approx(0, abs=1e-9)
    assert scale.z(p).std() == pytest.approx(1)
    assert log_odds(np.array([0.5, 1.0]))[0] == 0
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
    with pytest.raises(WorkbenchError, match="reads the same from every training question"):
        standardise(np.full(5, 0.4))


def test_small_changes_are_tried_first_and_keep_equal_ones_out() -> None:
    tried = candidates([3, 7], 5.0)
    assert tried[:3] == [Strength(3, 2.0, 0.0), Strength(7, 2.0, 0.0), Strength(3, 2.0, -5.0)]
    assert len(tried) == 8
    np.testing.assert_allclose(tried[2].amount(np.array([-1.0, 2.0])), [-7.0, -1.0])
    correct, domain = np.array([True, False] * 10), np.array(["a", "b"] * 10).repeat(1)
    domain[:] = "a"
    same = correct.astype(float)
    written = {tried[0]: 1 - same, tried[1]: same, tried[2]: same}
    assert best_strength(written, correct, domain) == (tried[1], 1.0)


@pytest.mark.parametrize("layer", [1, 3])
def test_one_unit_raises_the_log_odds_of_high_numbers_by_one_nat_to_first_order(
    make_tiny: Callable[..., LanguageModel], layer: int
) -> None:
    lm = make_tiny("llama", "digits")
    trie = trie_of(lm)
    metric, places = high_log_odds_of(trie), number_positions(PROMPTS, trie)
    run = ModelInputs(lm, PROMPTS, places)
    (gradient,) = mean_gradients(run, [layer], metric, tokens_per_forward=BUDGET)
    unit = unit_of(gradient)
    step = 1e-2
    branches = [
        mapped_branch(layer, places, unit, torch.full((len(PROMPTS),), amount))
        for amount in (step, -step, 0.0)
    ]
    moved = Reading(metric, BUDGET).values(ModelInputs(lm, PROMPTS), branches)
    up, down, none = moved.patched.mean(dim=0).tolist()
    assert (up - down) / (2 * step) == pytest.approx(1, rel=0.02)
    assert none == pytest.approx(float(moved.base.mean()), abs=1e-6)
    with pytest.raises(WorkbenchError, match="do not depend on the state"):
        unit_of(torch.zeros(2, 4))
