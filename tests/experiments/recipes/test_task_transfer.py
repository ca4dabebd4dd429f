from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.experiments.recipes.pairwise import BRADLEY_TERRY, pair_measures
from workbench.experiments.recipes.task_transfer import (
    TASKS,
    task_transfer,
    transfer_measures,
    transfer_section,
)
from workbench.loop.conditions import BEFORE, Condition, Readouts
from workbench.measure import Bootstrap, auroc2_within_estimate, flat_summary

RNG = np.random.default_rng(0)
N = 24
BOTH, BOTH_1 = Condition("both"), Condition("both", seed=1)
CONTROL = Condition("both", control=True)
CONDITIONS = (BEFORE, BOTH, BOTH_1, CONTROL)
DRAW = Bootstrap(80, 2)


def readouts() -> Readouts:
    questions = pd.DataFrame(
        {"row": np.arange(N) + 7, "domain": np.repeat(["kings", "rivers"], N // 2)}
    )
    expected = {name: RNG.random(N) for name in CONDITIONS}
    return Readouts(questions, RNG.random(N) < 0.5, expected, expected, {})


def choices() -> pd.DataFrame:
    order = RNG.permutation(N) + 7
    return pd.DataFrame(
        {
            "q1": order,
            "q2": np.roll(order, 1),
            "combined": RNG.random(N),
            "consistent": RNG.random(N) < 0.5,
            "chose_first": 1.0,
            "chose_first_swapped": 0.0,
        }
    )


R = readouts()
PAIRS = {name: choices() for name in CONDITIONS}
CELLS = task_transfer(R, PAIRS, DRAW)


def test_a_line_of_one_seed_has_the_estimates_of_the_packages_measures() -> None:
    for name in (BEFORE, CONTROL):
        found = {
            "single": auroc2_within_estimate(R.expected[name], R.correct, R.domain, **DRAW.options)
        }
        found |= pair_measures(PAIRS[name], R, DRAW)
        for task in TASKS:
            own, alone = CELLS[name, task], found[task]
            assert (own.value, own.low, own.high) == pytest.approx(
                (alone.value, alone.low, alone.high)
            )


def test_seeds_are_one_line_and_every_line_has_every_task() -> None:
    assert list(dict.fromkeys(line for line, _ in CELLS)) == [
        BEFORE,
        BRADLEY_TERRY,
        BOTH,
        CONTROL,
    ]
    assert {task for _, task in CELLS} == set(TASKS)
    seeds = [pair_measures(PAIRS[name], R, DRAW)["agreement"].value for name in (BOTH, BOTH_1)]
    assert CELLS[BOTH, "agreement"].value == pytest.approx(np.mean(seeds))
    summary = flat_summary(transfer_measures(CELLS))
    assert summary["transfer.agreement.both"] == CELLS[BOTH, "agreement"].value
    assert "transfer.single.bradley-terry.high" in summary


def test_the_matrix_has_a_row_a_line() -> None:
    (cells,) = transfer_section(CELLS, "caption").figure.data
    assert cells.z.shape == (4, len(TASKS))
    assert cells.z[0][0] == CELLS[BEFORE, "single"].value
