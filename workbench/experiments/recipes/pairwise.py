"""Measure which of two held-out questions a model says it would answer correctly more likely,
before and after training.

Pairs are neighbours on ``measure.pair_circles`` random circles of the held-out questions, each
asked in both orders, so that a preference for one place cancels. ``pairs.agreement`` is the share
of mixed pairs (one answer right, one wrong) in which the question answered rightly is preferred, a
tie counting half: 0.5 is chance. ``pairs.consistent`` is the share of all pairs in which both
orders prefer the same question. :func:`bradley_terry` turns the base model's preferences into one
score a question, whose AUROC2 is compared with that of stated confidence, and whose order with the
choices. Intervals resample questions within their domain, because pairs share them
(:mod:`workbench.measure.question_pairs`). Over all mixed pairs, knowing which domain is easier is
enough to be right often; ``pairs.agreement_within`` takes the mixed pairs of one domain alone. The
intervals do not cover other pairings of the same questions, nor that Bradley-Terry scores would be
fitted anew to other pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workbench.arrays import Floats
from workbench.elicit.pairs import ask_pairs, neighbours
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.trainings import Training
from workbench.loop.conditions import BEFORE, EXPECTED, Condition, Key, Measures, Readouts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.tables import Columns
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_within_estimate,
    bootstrap_counts,
)
from workbench.measure.question_pairs import mean_of_pairs
from workbench.models import LanguageModel
from workbench.pipeline.stages import Stage
from workbench.pipeline.store import StageStore, run_parts
from workbench.questions import prompt_text
from workbench.teach.merged_adapter import adapter_merged

BRADLEY_TERRY = Condition(recalibration="bradley-terry")
PAIR_COLUMNS: Columns = {
    "pairs right": Key("agreement", part="pairs"),
    "pairs right within": Key("agreement_within", part="pairs"),
    "pairs consistent": Key("consistent", part="pairs"),
}


def pairs_stage(recipe: str) -> str:
    """Return name and folder of the stage that asks the base model."""
    return f"recipes/{recipe}/pairs"


def read_pairs(context: Run, stage: StageStore, taught: str | None = None) -> dict[str, Any]:
    """Ask the base model, or the one a stage has ``taught``, about pairs of held-out questions,
    and save the table "pairs".

    Raises:
        WorkbenchError: for an adapter on the confidence reply alone.
    """
    table, questions = load_questions(context)
    rows = np.flatnonzero(table["split"] == "test")
    texts = [prompt_text(questions[row]) for row in rows]

    def ask(lm: LanguageModel) -> pd.DataFrame:
        pairs = [
            pair
            for k in range(context.config.measure.pair_circles)
            for pair in neighbours(len(rows), context.config.seed + k)
        ]
        return ask_pairs(
            lm,
            texts,
            pairs,
            tokens_per_forward=context.config.model.tokens_per_forward,
            run=partial(run_parts, stage),
        )

    if taught is None:
        found = ask(context.lm)
    else:
        with context.with_adapter(taught) as tuned:
            if tuned.invocation_length is not None:
                raise WorkbenchError(
                    "An adapter on the confidence reply alone does nothing to comparisons; set "
                    "teach.adapter_scope=conversation."
                )
            with adapter_merged(tuned):
                found = ask(tuned)
    stage.save_table("pairs", found.assign(q1=rows[found["q1"]], q2=rows[found["q2"]]))
    return {"pairs": len(found), "mass": float(found["mass"].mean())}


def pair_stages(training: Training) -> list[Stage]:
    """Return the stages in which the training and its control choose between two questions."""
    taught = [
        ("pairs", "teach"),
        *([("pairs_control", "teach_control")] if training.shuffled_control else []),
    ]
    return [
        Stage(
            training.stage(kind),
            partial(read_pairs, taught=training.stage(by)),
            ("model", "elicit", "measure", "seed"),
            (training.stage(by),),
        )
        for kind, by in taught
    ]


def asked_pairs(
    context: Run, recipe: str, taught: Sequence[Training]
) -> dict[Condition, pd.DataFrame]:
    """Return, by condition, its choices between two held-out questions."""
    stages = {BEFORE: pairs_stage(recipe)}
    for training in taught:
        stages[training.condition] = training.stage("pairs")
        if training.shuffled_control:
            stages[training.control] = training.stage("pairs_control")
    return {one: context.stage(stage).table("pairs") for one, stage in stages.items()}


def pairwise_measures(
    tables: Mapping[Condition, pd.DataFrame], readouts: Readouts, draw: Bootstrap
) -> Measures:
    """Return ``pairs.<measure>.<condition>`` with intervals, and the measures of the base model's
    Bradley-Terry scores.
    """
    out: Measures = {}
    for condition, table in tables.items():
        for name, value in pair_measures(table, readouts, draw).items():
            out[Key(name, part="pairs", condition=condition)] = value
    before = tables[BEFORE]
    scores = question_scores(before, readouts)
    ordered = pair_measures(ordered_by(scores, before, readouts), readouts, draw)
    for name in ("agreement", "agreement_within"):
        out[Key(name, part="pairs", condition=BRADLEY_TERRY)] = ordered[name]
    singly = auroc2_within_estimate(scores, readouts.correct, readouts.domain, **draw.options)
    mixed = ~np.isnan(pair_values(before, readouts)["agreement"])
    return {
        **out,
        Key("auroc2", EXPECTED, BRADLEY_TERRY, within=True): singly,
        Key("asked", part="pairs"): len(before),
        Key("mixed", part="pairs"): int(mixed.sum()),
    }


def pair_measures(table: pd.DataFrame, readouts: Readouts, draw: Bootstrap) -> dict[str, Estimate]:
    """Return agreement with the grades on mixed pairs, also within a domain, swap consistency, and
    the share of readable choices.

    An estimate's ``n`` counts pairs.
    """
    values = pair_values(table, readouts)
    statistics = {
        name: mean_of_pairs(each, *pair_places(table, readouts)) for name, each in values.items()
    }
    used = {name: int((~np.isnan(each)).sum()) for name, each in values.items()}
    return bootstrap_counts(
        statistics, len(readouts.correct), **draw.options, strata=readouts.domain, used=used
    )


def pair_places(
    table: pd.DataFrame, readouts: Readouts
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices [pairs] of each pair's questions among the held-out ones."""
    rows = readouts.questions["row"].to_numpy()
    order = np.argsort(rows)
    first, second = (
        order[np.searchsorted(rows, table[name].to_numpy(), sorter=order)] for name in ("q1", "q2")
    )
    return first, second


def pair_values(table: pd.DataFrame, readouts: Readouts) -> dict[str, Floats]:
    """Return, by measure, the values [pairs] whose mean it is; NaN where a pair does not count."""
    first, second = pair_places(table, readouts)
    right, domain = readouts.correct, readouts.domain
    combined = table["combined"].to_numpy(dtype=np.float64)
    agrees = np.where(combined == 0.5, 0.5, (combined > 0.5) == right[first])
    mixed = right[first] != right[second]
    read = table[["chose_first", "chose_first_swapped"]].notna().all(axis=1)
    return {
        "agreement": np.where(mixed, agrees, np.nan),
        "agreement_within": np.where(mixed & (domain[first] == domain[second]), agrees, np.nan),
        "consistent": table["consistent"].to_numpy(dtype=np.float64),
        "read": read.to_numpy(dtype=np.float64),
    }


def question_scores(table: pd.DataFrame, readouts: Readouts) -> Floats:
    """Return the Bradley-Terry score [n] of each held-out question from the choices in ``table``;
    NaN where it was in no pair.
    """
    rows, scores = bradley_terry(table)
    return np.asarray(pd.Series(scores, rows).reindex(readouts.questions["row"]), dtype=np.float64)


def ordered_by(scores: Floats, table: pd.DataFrame, readouts: Readouts) -> pd.DataFrame:
    """Return the pairs of ``table`` as they would be chosen by ``scores`` [n]."""
    first, second = pair_places(table, readouts)
    return table.assign(combined=0.5 + 0.5 * np.sign(scores[first] - scores[second]))


def bradley_terry(table: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows of the questions in ``table`` and a score each, by which P(q1 over q2) =
    logistic(score 1 - score 2).

    The scores are fitted to the combined preferences, with a unit normal prior. Without the prior a
    question that is always preferred has no finite score.
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
