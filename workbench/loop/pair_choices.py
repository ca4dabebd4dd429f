"""Which of two held-out questions a model says it would answer correctly more likely, before and after teaching.

Pairs are neighbours on ``CIRCLES`` random circles of the held-out questions, each asked in both orders, so that a taste for one place
cancels. ``pairs.agreement`` is the share of mixed pairs (one answer right, one wrong) in which the question answered rightly is preferred, a
tie counting half: 0.5 is chance. ``pairs.consistent`` is the share of all pairs in which both orders prefer the same question. ``bradley_terry`` turns the
base model's preferences into one score a question, whose AUROC2 stands beside stated confidence.
What the intervals do not show: they come from resampled pairs, which share their questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workbench.elicit.pairs import ask_pairs, neighbours
from workbench.errors import WorkbenchError
from workbench.loop.asking import load_questions
from workbench.loop.context import Context
from workbench.loop.pupils import Pupil
from workbench.loop.readouts import BEFORE
from workbench.measure import Estimate, auroc2_within_estimate, bootstrap
from workbench.models import LanguageModel, computing_in
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.questions import asked
from workbench.report import Section
from workbench.store import StageStore
from workbench.teach.adapter import adapter_merged

CIRCLES = 2
BRADLEY_TERRY = "bradley-terry"
PAIR_COLUMNS: Mapping[str, str] = {"pairs right": "pairs.agreement", "pairs consistent": "pairs.consistent"}


def pairs_stage(recipe: str) -> str:
    """Name and folder of the stage that asks the base model."""
    return f"recipes/{recipe}/pairs"


def read_pairs(context: Context, stage: StageStore, taught: str | None = None) -> dict[str, Any]:
    """Ask the base model, or the one a stage has ``taught``, about pairs of held-out questions; saves the table "pairs"."""
    table, questions = load_questions(context)
    rows = np.flatnonzero(table["split"] == "test")
    texts = [asked(questions[row]) for row in rows]

    def ask(lm: LanguageModel) -> pd.DataFrame:
        pairs = [pair for k in range(CIRCLES) for pair in neighbours(len(rows), context.config.seed + k)]
        with computing_in(context.config.model.precision, lm):
            return ask_pairs(lm, texts, pairs, token_budget=context.config.model.tokens_per_batch)

    if taught is None:
        found = ask(context.lm)
    else:
        with context.tuned(taught) as tuned:
            if tuned.reach is not None:
                raise WorkbenchError(
                    "An adapter on the confidence reply alone does nothing to comparisons; set teach.scope=conversation."
                )
            with adapter_merged(tuned):
                found = ask(tuned)
    stage.save_table("pairs", found.assign(q1=rows[found["q1"]], q2=rows[found["q2"]]))
    return {"pairs": len(found), "mass": float(found["mass"].mean())}


def pair_summary(context: Context, recipe: str, taught: Sequence[Pupil]) -> dict[str, Any]:
    """``pairs.<measure>.<condition>`` with intervals, and the base model's Bradley-Terry scores."""
    stages = {BEFORE: pairs_stage(recipe)}
    for pupil in taught:
        stages[pupil.name] = pupil.stage("pairs")
        if pupil.twin:
            stages[pupil.twin_name] = pupil.stage("pairs_control")
    questions, _ = load_questions(context)
    correct = context.stage("answer").table("answers")["correct"].to_numpy(dtype=bool)
    drawn = {"resamples": context.config.resamples, "seed": context.config.seed}
    out: dict[str, Any] = {}
    for name, stage in stages.items():
        table = context.stage(stage).table("pairs")
        for measure, value in pair_measures(table, correct, **drawn).items():
            out |= value.to_dict(f"pairs.{measure}.{name}")
    table = context.stage(stages[BEFORE]).table("pairs")
    rows, scores = bradley_terry(table)
    domain = questions["domain"].to_numpy(dtype=str)
    out |= auroc2_within_estimate(scores, correct[rows], domain[rows], **drawn).to_dict(
        f"auroc2.expected.within.{BRADLEY_TERRY}"
    )
    mixed = correct[table["q1"]] != correct[table["q2"]]
    return {**out, "pairs.asked": len(table), "pairs.mixed": int(mixed.sum())}


def pair_measures(table: pd.DataFrame, correct: NDArray[np.bool_], *, resamples: int, seed: int) -> dict[str, Estimate]:
    """Agreement with the grades ``correct`` [by row] on mixed pairs, swap consistency, and the share of readable choices."""
    first = correct[table["q1"]]
    mixed = first != correct[table["q2"]]
    combined = table["combined"].to_numpy(dtype=np.float64)
    agrees = np.where(combined == 0.5, 0.5, (combined > 0.5) == first)[mixed]
    read = table[["chose_first", "chose_first_swapped"]].notna().all(axis=1)
    parts = {"agreement": agrees, "consistent": table["consistent"].to_numpy(float), "read": read.to_numpy(float)}
    unknown = Estimate(float("nan"), float("nan"), float("nan"), 0)
    return {
        name: bootstrap(np.mean, values, resamples=resamples, seed=seed) if len(values) else unknown
        for name, values in parts.items()
    }


def bradley_terry(table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of the questions in ``table`` and a score each, by which P(q1 over q2) = logistic(score 1 - score 2).

    Fitted to the combined preferences, with a unit normal prior on the scores, without which a question always preferred has
    none.
    """
    rows, places = np.unique(table[["q1", "q2"]].to_numpy(), return_inverse=True)
    places = places.reshape(-1, 2)
    design = np.zeros((len(table), len(rows)))
    np.put_along_axis(design, places[:, :1], 1.0, axis=1)
    np.put_along_axis(design, places[:, 1:], -1.0, axis=1)
    preferred = table["combined"].to_numpy(dtype=np.float64)
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=1000)
    model.fit(
        np.concatenate([design, design]),
        np.repeat([1, 0], len(table)),
        sample_weight=np.concatenate([preferred, 1 - preferred]),
    )
    return rows, model.coef_[0]


def transfer_section(summary: Mapping[str, Any], conditions: Sequence[str]) -> Section:
    """Both tasks under every condition that was asked about pairs."""
    tasks = {
        "single: AUROC2 within domain": "auroc2.expected.within",
        "pairs: share right of mixed pairs": "pairs.agreement",
    }
    rows = [
        EstimateRow(task, name, _estimate(summary, f"{key}.{name}"))
        for task, key in tasks.items()
        for name in (*conditions, BRADLEY_TERRY)
        if f"{key}.{name}" in summary and (f"pairs.agreement.{name}" in summary or name == BRADLEY_TERRY)
    ]
    figure = EstimateRows(
        rows=rows,
        axis="AUROC2, or share right (0.5 = chance)",
        title="From one task to the other",
        caption=f"{summary['pairs.asked']} pairs, {summary['pairs.mixed']} of them mixed",
        bound=0.5,
    ).figure()
    words = (
        "Each arm on both tasks: confidence in an answer given, and which of two questions would be answered correctly more likely, "
        "chosen before any answer. An arm that was taught one task alone shows here whether the other came with it."
    )
    return Section("From one task to the other", words, figure, "transfer")


def _estimate(summary: Mapping[str, Any], key: str) -> Estimate:
    asked_about = "pairs.mixed" if key.startswith("pairs.") else "questions.test"
    return Estimate(summary[key], summary[f"{key}.low"], summary[f"{key}.high"], int(summary.get(asked_about, 0)))
