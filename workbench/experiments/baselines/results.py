"""Measure how well each training-free baseline tells right answers from wrong ones, and at what
cost.

AUROC2 is the probability that a right answer got more confidence than a wrong one: 0.5 is chance,
above it confidence is larger for right answers. Cost counts the tokens that the model computes for
that baseline alone, once the greedy answer is there. Questions that a baseline could not read are
left out of its AUROC2 and counted.

The results do not show whether two baselines differ: all are measured on the same questions, so
intervals may overlap while the paired difference is clear. Nor do they show calibration, which
scores that are no probabilities do not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig
from workbench.elicit.baselines.compare import Compared
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.questions import Question


@dataclass(frozen=True)
class BaselineRun:
    """The results of the baselines on one set of questions.

    Attributes:
        questions: as they were asked.
        answers: [rows] the greedy answers.
        correct: [graded] grades of the answers that could be graded.
        graded: [rows] whether the answer could be graded.
        table: the tidy table, one line per question and baseline.
        found: one comparison per baseline.
        groups: means over questions of distinct sampled answers, groups the model made of them and
            queries it took; None without.
        caption: the questions, the model and the sampling, for figures.
    """

    questions: tuple[Question, ...]
    answers: tuple[str, ...]
    correct: NDArray[np.bool_]
    graded: NDArray[np.bool_]
    table: pd.DataFrame
    found: tuple[Compared, ...]
    groups: dict[str, float] | None
    caption: str


@dataclass(frozen=True)
class BaselineResults:
    """The results on one or several sets of questions, by the set's name."""

    runs: Mapping[str, BaselineRun]
    config: RunConfig
    settings: BaselineSettings


def summary_of(name: str, run: BaselineRun) -> dict[str, Any]:
    """Return the flat summary of one set, its dotted keys beginning with ``name``."""
    summary: dict[str, Any] = {
        f"{name}.accuracy": float(run.correct.mean()),
        f"{name}.questions": len(run.questions),
        f"{name}.ungraded": int((~run.graded).sum()),
    }
    for one in run.found:
        key = f"{name}.auroc2.{one.baseline.name}"
        summary |= one.pooled.to_dict(key) | one.within.to_dict(f"{key}.within")
    if run.groups is not None:
        summary |= {f"{name}.{key}": value for key, value in run.groups.items()}
    return summary
