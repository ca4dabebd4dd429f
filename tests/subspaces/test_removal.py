"""A removal is the packed engine's, and what is lost is counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.measure.discrimination import auroc2_within
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric
from workbench.subspaces.find import SplitPrompts
from workbench.subspaces.removal import HeldOutAnswers, measure_removals
from workbench.trace import Patch, Site, Subspace, TokenTree, record

ROWS = [list(range(first, first + 3 + first % 4)) for first in range(5, 45)]
TRAIN, HELD_OUT = ROWS[:20], ROWS[20:]
TREE = TokenTree((40, 41), (-1, 0))
LAYER = 2


def mean_of_three(reduced: torch.Tensor) -> torch.Tensor:
    return reduced.double().mean(dim=(1, 2))


METRIC = Metric(lambda logits: logits[:, :9].float().tanh(), mean_of_three, TREE)
ANSWERS = HeldOutAnswers(np.arange(20) % 3 == 0, np.array(["a", "b"])[np.arange(20) % 2])


def test_losses_are_those_of_the_packed_engines_removal(tiny_lm: Any) -> None:
    sides = SplitPrompts(ModelInputs(tiny_lm, TRAIN), ModelInputs(tiny_lm, HELD_OUT))
    generator = torch.Generator().manual_seed(1)
    plane = Subspace(torch.randn((32, 2), generator=generator))
    whole = Subspace(torch.eye(32))
    removals = measure_removals(
        sides, METRIC, LAYER, [plane, whole], ANSWERS, tokens_per_forward=60, resamples=50
    )
    train, held_out = (
        torch.as_tensor([[len(row) - 1 + k for k in range(3)] for row in rows])
        for rows in (TRAIN, HELD_OUT)
    )
    mean = record(tiny_lm, TRAIN, train.tolist(), [Site(LAYER)], tree=TREE)[:, 0].mean(dim=0)
    branch = [
        Patch(Site(LAYER), held_out[:, k], mean[k].expand(20, -1), "without", plane)
        for k in range(3)
    ]
    found = Reading(METRIC, 1000).values(sides.held_out, [branch])
    own, left = found.base.numpy(), found.patched[:, 0].numpy()
    plane_lost = removals[0].found
    assert plane_lost.spread_lost.value == pytest.approx(1 - left.std() / own.std(), abs=1e-4)
    lost = [auroc2_within(each, ANSWERS.correct, ANSWERS.domain) for each in (own, left)]
    assert plane_lost.auroc2_lost.value == pytest.approx(lost[0] - lost[1], abs=1e-9)
    assert removals[0].random.spread_lost.low <= removals[0].random.spread_lost.value
    # Directions drawn from twenty questions' states span less than all, so more than nothing stays.
    assert removals[1].found.spread_lost.value > removals[0].found.spread_lost.value
    assert removals[1].random.spread_lost.value == pytest.approx(
        removals[1].found.spread_lost.value, abs=1e-3
    )


def test_a_direction_of_the_states_takes_more_than_an_even_one(tiny_lm: Any) -> None:
    sides = SplitPrompts(ModelInputs(tiny_lm, TRAIN), ModelInputs(tiny_lm, HELD_OUT))
    last = tiny_lm.n_layers - 1
    span = Subspace(torch.eye(32)[:, :4])
    (removal,) = measure_removals(sides, METRIC, last, [span], ANSWERS, resamples=20)
    assert set(removal.rows()) == {"found", "random", "random_of_states"}
    kinds = (removal.random, removal.random_of_states)
    assert kinds[0].spread_lost.value != kinds[1].spread_lost.value


def test_what_does_not_fit_is_refused_before_any_forward(tiny_lm: Any) -> None:
    sides = SplitPrompts(ModelInputs(tiny_lm, TRAIN), ModelInputs(tiny_lm, HELD_OUT[:5]))
    with pytest.raises(WorkbenchError, match="as many grades"):
        measure_removals(sides, METRIC, LAYER, [Subspace(torch.eye(32))], ANSWERS)
    with pytest.raises(WorkbenchError, match="Layer 99 does not exist"):
        measure_removals(sides, METRIC, 99, [Subspace(torch.eye(32))], ANSWERS)
