"""Measure transfer from one task to the other: confidence in a single answer, and which of two
questions would be answered correctly more likely.

Every line that was asked about pairs (the base model, arms over their seeds, controls) under three
measures: AUROC2 of the expected confidence within domain, the share of mixed pairs in which the
question answered rightly was preferred, and that share of pairs of one domain. Chance is 0.5 in all
three, so a row shows whether training on one task improved the other. The base model's
Bradley-Terry scores are shown for comparison: its choices, made into one order of the questions.
All cells come from the same resamples of the questions within their domain, and of seeds
(:mod:`workbench.measure.seed_intervals`). The two tasks are not on one scale; a pair is an easier
or harder test than a domain's ranking.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.experiments.recipes.pairwise import (
    BRADLEY_TERRY,
    ordered_by,
    pair_places,
    pair_values,
    question_scores,
)
from workbench.loop.conditions import (
    BEFORE,
    Condition,
    Key,
    Measures,
    Readouts,
    group_seeds,
)
from workbench.measure import Bootstrap, Estimate
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.inputs import checked_domain
from workbench.measure.question_pairs import mean_of_pairs
from workbench.measure.seed_intervals import (
    counted_questions,
    drawn_seeds,
    statistics_over_seeds,
)
from workbench.measure.weighted import CountStatistic
from workbench.plots.transfer_matrix import TransferMatrix
from workbench.report import Section

TASKS: Mapping[str, str] = {
    "single": "AUROC2 within domain",
    "agreement": "mixed pairs right",
    "agreement_within": "mixed pairs of one domain",
}
"""Key in the summary -> heading."""

Cells = dict[tuple[Condition, str], Estimate]


def task_transfer(r: Readouts, pairs: Mapping[Condition, pd.DataFrame], draw: Bootstrap) -> Cells:
    """Return the estimates by line and key of TASKS; ``pairs`` are the choices of each
    condition.
    """
    counts = counted_questions(r.domain, **draw.draws)
    scores = question_scores(pairs[BEFORE], r)
    expected = {**{one: r.expected[one] for one in pairs}, BRADLEY_TERRY: scores}
    asked = {**pairs, BRADLEY_TERRY: ordered_by(scores, pairs[BEFORE], r)}
    out: Cells = {}
    for line, conditions in group_seeds(
        [BEFORE, BRADLEY_TERRY, *(one for one in pairs if one != BEFORE)]
    ).items():
        chosen = drawn_seeds(len(conditions), **draw.draws)
        each = [_statistics(r, expected[one], asked[one]) for one in conditions]
        for task in TASKS:
            out[line, task] = statistics_over_seeds(
                [statistics[task] for statistics in each],
                counts,
                chosen,
                (0.0, 1.0),
                strata=len(np.unique(r.domain)),
            )
    return out


def _statistics(r: Readouts, expected: Floats, pairs: pd.DataFrame) -> dict[str, CountStatistic]:
    places, values = pair_places(pairs, r), pair_values(pairs, r)
    return {
        "single": Auroc2Within(expected, r.correct, checked_domain(r.domain, len(r.correct))),
        **{task: mean_of_pairs(values[task], *places) for task in TASKS if task in values},
    }


def transfer_measures(cells: Cells) -> Measures:
    """Return ``transfer.<task>.<line>`` with intervals."""
    return {
        Key(task, part="transfer", condition=line): estimate
        for (line, task), estimate in cells.items()
    }


def transfer_section(cells: Cells, caption: str) -> Section:
    """Draw the matrix, with what was trained as rows and what is measured as columns."""
    figure = TransferMatrix(
        rows=tuple(dict.fromkeys(line.name for line, _ in cells)),
        columns=tuple(TASKS.values()),
        cells={(line.name, TASKS[task]): estimate for (line, task), estimate in cells.items()},
        centre=0.5,
        title="From one task to the other",
        caption=caption,
        x="measured on",
        y="taught",
    ).figure()
    words = (
        "Each arm on both tasks: confidence in an answer given, and which of two questions would "
        "be answered correctly more likely, "
        "chosen before any answer; 0.5 is chance. An arm that was taught one task alone shows here "
        "whether the other came with it."
    )
    return Section("From one task to the other", words, figure, "transfer")
