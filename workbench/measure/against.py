"""Compare every group of a table with one of them, question by question.

Rows are paired by the question's id; an id that occurs several times in a group gives its last row.
Only questions of both groups, parsed in both, are compared. ``judge`` "own" grades each group by
its own answers; "first" grades both by the answers of the group that is compared (not of
``against``), as the published comparison of "Making LLMs Say What They Know" did: it asks a model's
confidence about answers that another model gave, and is here to check published numbers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.measure.groups import Settings
from workbench.measure.paired import Paired, paired_metrics
from workbench.measure.table import Metric
from workbench.measure.table_file.answers import Answers
from workbench.measure.table_file.roles import existing

Judge = Literal["own", "first"]


def compare_groups(
    answers: Answers, against: str, settings: Settings, *, judge: Judge
) -> dict[str, Paired]:
    """Compare each other group with ``against``: each other group minus ``against``.

    Raises:
        WorkbenchError: without ids, for an unknown group, and for groups without a shared question.
    """
    groups = answers.groups()
    existing(against, list(groups), "--reference", "group")
    if answers.id is None:
        raise WorkbenchError(
            "--reference pairs answers by question; name the column of question ids with --id."
        )
    out = {}
    for name, group in groups.items():
        if name == against:
            continue
        first, second = _aligned(group, groups[against])
        if not len(first):
            raise WorkbenchError(
                f"groups {name!r} and {against!r} share no question id; their rows cannot be "
                "paired."
            )
        out[name] = paired_metrics(
            first.confidence,
            second.confidence,
            first.correct,
            correct_b=second.correct if judge == "own" else None,
            seed=settings.seed,
            resamples=settings.resamples,
            level=settings.level,
            bins=settings.bins,
        )
    return out


def paired_values(paired: Paired, against: str, judge: Judge) -> dict[str, Metric]:
    """Return ``paired`` as named values: ``difference.<metric>``, ``auroc2`` and ``auroc2_against``
    on the shared questions.
    """
    values: dict[str, Metric] = {
        "group": against,
        "judge": judge,
        "n": paired.n,
        "method": paired.method,
    }
    values |= {"auroc2": paired.first["auroc2"], "auroc2_against": paired.second["auroc2"]}
    values |= {f"difference.{name}": estimate for name, estimate in paired.difference.items()}
    values |= {
        "difference.auroc2_delong": paired.delong.difference,
        "p_value_delong": paired.delong.p_value,
    }
    return values


def _aligned(first: Answers, second: Answers) -> tuple[Answers, Answers]:
    assert first.id is not None
    assert second.id is not None
    places = [
        pd.Series(np.arange(len(each)), index=each.id).groupby(level=0, sort=False).last()
        for each in (first, second)
    ]
    shared = places[0].index.intersection(places[1].index, sort=False)
    return first.rows(places[0].loc[shared].to_numpy()), second.rows(
        places[1].loc[shared].to_numpy()
    )
