"""Run every baseline asked for on the same questions and greedy answers, and return one
tidy table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.evidence import Evidence, run_pass_table
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.baselines.table import BASELINES, Baseline
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, StageStore


def run_baselines(
    lm: LanguageModel,
    asked: Sequence[Asked],
    names: Sequence[str] | None,
    settings: BaselineSettings,
    stage: StageStore | None = None,
) -> pd.DataFrame:
    """Score every question by every baseline.

    Args:
        asked: questions with their greedy answers, from
            :func:`workbench.elicit.baselines.answered_question.ask` in the format of ``settings``.
        names: of :data:`BASELINES`; None for all that apply to these questions.
        stage: where finished batches are kept; it must not be one of other questions, settings or
            baselines.

    Returns:
        One line per question and baseline: ``row`` (counts ``asked``), ``baseline``, ``score``
        (larger means more confident; NaN where the model's reply could not be read), ``tokens``
        computed for it.

    Raises:
        WorkbenchError: before any forward, for unknown names, and for baselines of choice questions
            on others.
    """
    chosen = select_baselines(asked, names)
    return score_baselines(run_passes(lm, asked, chosen, settings, stage), chosen)


def select_baselines(asked: Sequence[Asked], names: Sequence[str] | None) -> list[Baseline]:
    """Return the baselines of these names, or all that apply to the questions.

    Raises:
        WorkbenchError: for no questions, unknown names, and a baseline of choice questions on
            others.
    """
    choice = bool(asked) and all(one.options for one in asked)
    if not asked:
        raise WorkbenchError("There is no question to score; give at least one.")
    if names is None:
        return [row for row in BASELINES.values() if choice or not row.choice]
    chosen = known_baselines(names)
    for row in chosen:
        if row.choice and not choice:
            raise WorkbenchError(
                f"The baseline {row.name!r} needs choice questions throughout; leave it out."
            )
    return chosen


def known_baselines(names: Sequence[str]) -> list[Baseline]:
    """Return the baselines of these names. This needs neither model nor questions.

    Raises:
        WorkbenchError: for unknown names; it lists the known ones.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown or not names:
        raise WorkbenchError(
            f"Unknown baseline {unknown or 'list'}; choose from {', '.join(BASELINES)}."
        )
    return [BASELINES[name] for name in dict.fromkeys(names)]


def run_passes(
    lm: LanguageModel,
    asked: Sequence[Asked],
    chosen: Sequence[Baseline],
    settings: BaselineSettings,
    stage: StageStore | None = None,
) -> Evidence:
    """Run every pass the ``chosen`` baselines need."""
    passes = list(dict.fromkeys(name for row in chosen for name in row.passes))
    queries = list(dict.fromkeys(row.query for row in chosen if row.query))
    return run_pass_table(lm, asked, passes, queries, settings, stage)


def score_baselines(evidence: Evidence, chosen: Sequence[Baseline]) -> pd.DataFrame:
    """Return the tidy table of :func:`run_baselines` from gathered evidence."""
    rows = np.arange(len(evidence.asked))
    parts = [
        pd.DataFrame(
            {
                ROW: rows,
                "baseline": row.name,
                "score": row.score(evidence),
                "tokens": row.tokens(evidence).astype(int),
            }
        )
        for row in chosen
    ]
    return pd.concat(parts, ignore_index=True)
