"""Measure the ablations of calibration tuning, from what judges say about held-out answers.

A judge's number is P(correct): the expected confidence of the query, or a head's probability.
``before`` is the base model without training (zero-shot). Every measure comes with its interval
over questions; differences are paired by question, and a difference of two measures is the first
minus the second. ECE has ten bins; AUROC2 is the mean within domain unless it says pooled. A
temperature is fitted in the home run on questions the judge was not trained on (the base model's on
all training questions), and is used wherever the judge judges.

The intervals do not cover another training seed or another draw of labels. Fewer labels also mean
fewer steps, so that a curve over labels shows both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.experiments.transfer.evaluate import expected_of
from workbench.loop.answers import right_answers
from workbench.loop.questions import held_out_rows, load_questions
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
    bootstrap_counts,
    confidence_metrics,
    flat_summary,
    paired_metrics,
    temperature,
)
from workbench.measure.recalibration import Map
from workbench.measure.weighted import mean_of
from workbench.pipeline.store import ROW

AUROC2, POOLED, ECE, SMOOTH = "AUROC2", "AUROC2 pooled", "ECE", "smooth ECE"
TEMPERED = "ECE with temperature"
ERRORS: Mapping[str, str] = {ECE: "ece", SMOOTH: "smooth_ece"}
MEAN = "mean P(correct)"


@dataclass(frozen=True, eq=False)
class JudgedAnswers:
    """The verdicts of one judge on answers to held-out questions, aligned: [n] each.

    Attributes:
        id: ids of the questions; a question keeps its id whatever its form and its answer.
        correct: whether the answer is right; for swapped answers none is.
        tempered: P(correct) with the judge's temperature; NaN where none could be fitted.
    """

    id: NDArray[np.str_]
    domain: NDArray[np.str_]
    correct: Bools
    answerable: Bools
    probability: Floats
    tempered: Floats

    def at(self, ids: Sequence[str]) -> JudgedAnswers:
        """Return the verdicts on the questions ``ids``, in that order."""
        place = {own: index for index, own in enumerate(self.id.tolist())}
        return self.where(np.array([place[one] for one in ids], dtype=np.int64))

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> JudgedAnswers:
        """Return the verdicts on some of the questions, by mask or number."""
        return JudgedAnswers(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Measurement:
    """A measured number: what was ablated, who judges what, and how well. ``labels`` is how many
    the judge was trained on, 0 for the base model.
    """

    ablation: str
    judge: str
    condition: str
    measure: str
    estimate: Estimate
    labels: int


def verdicts(context: Run, stage: str, temper: Map) -> JudgedAnswers:
    """Return the verdicts that the stage ``stage`` read on the run's held-out questions."""
    rows = held_out_rows(context)
    table, _ = load_questions(context)
    own = table.set_index(ROW).loc[rows.tolist()]
    probability = expected_of(context, stage, rows)
    return JudgedAnswers(
        id=own["id"].to_numpy(dtype=str),
        domain=own["domain"].to_numpy(dtype=str),
        correct=right_answers(context, rows),
        answerable=own["answerable"].to_numpy(dtype=bool),
        probability=probability,
        tempered=temper(probability),
    )


def fitted_temperature(context: Run, stage: str, rows: NDArray[np.int64]) -> Map:
    """Fit the temperature map on what ``stage`` read of ``rows``. It gives NaN throughout where all
    or none of their answers are right.
    """
    probability, correct = expected_of(context, stage, rows), right_answers(context, rows)
    if len(np.unique(correct)) < 2:
        return lambda p: np.full(len(p), np.nan)
    return temperature(probability, correct)


def quality(v: JudgedAnswers, draw: Bootstrap) -> dict[str, Estimate]:
    """Return how well P(correct) tells right answers from wrong ones, and how far it is
    calibrated.
    """
    return {
        AUROC2: auroc2_within_estimate(v.probability, v.correct, v.domain, **draw.options),
        POOLED: auroc2_estimate(v.probability, v.correct, **draw.options),
        **_errors(v.probability, v.correct, draw),
        TEMPERED: _errors(v.tempered, v.correct, draw)[ECE],
    }


def _errors(probability: Floats, correct: Bools, draw: Bootstrap) -> dict[str, Estimate]:
    found = confidence_metrics(
        probability, correct, None, names=tuple(ERRORS.values()), **draw.options
    )
    named = {heading: found[name] for heading, name in ERRORS.items()}
    return {heading: error for heading, error in named.items() if isinstance(error, Estimate)}


def difference(one: JudgedAnswers, other: JudgedAnswers, draw: Bootstrap) -> dict[str, Estimate]:
    """Return ``one`` minus ``other`` on the same answers, paired: above zero is better for AUROC2
    and worse for calibration errors.
    """
    _check_aligned(one, other)
    a, b, correct = one.probability, other.probability, one.correct
    errors = paired_metrics(a, b, correct, names=tuple(ERRORS.values()), **draw.options).difference
    out = {
        AUROC2: auroc2_difference(a, b, correct, one.domain, **draw.options),
        POOLED: auroc2_difference(a, b, correct, None, **draw.options),
        **{heading: errors[name] for heading, name in ERRORS.items()},
    }
    if not np.isnan(one.tempered + other.tempered).all():
        tempered = paired_metrics(
            one.tempered, other.tempered, correct, names=("ece",), **draw.options
        ).difference
        out[TEMPERED] = tempered["ece"]
    return out


def question_alone(
    own: JudgedAnswers, swapped: JudgedAnswers, draw: Bootstrap
) -> dict[str, dict[str, Estimate]]:
    """Return, by condition, what the question alone tells, from a wrong answer put in the place of
    the model's answer.

    ``own answer`` and ``swapped answer`` have the mean P(correct) and the AUROC2 of each against
    the grade of the model's answer; 0.5 for the swapped one means that the estimate comes from the
    answer. Their difference is own minus swapped.
    """
    own = own.at(swapped.id.tolist())
    both = {"own answer": own.probability, "swapped answer": swapped.probability}
    means = _means({**both, "own - swapped": own.probability - swapped.probability}, draw)
    out = {name: {MEAN: mean} for name, mean in means.items()}
    for name, probability in both.items():
        out[name] |= {
            AUROC2: auroc2_within_estimate(probability, own.correct, own.domain, **draw.options),
            POOLED: auroc2_estimate(probability, own.correct, **draw.options),
        }
    apart = auroc2_difference(
        own.probability, swapped.probability, own.correct, own.domain, **draw.options
    )
    out["own - swapped"][AUROC2] = apart
    return out


def on_unanswerable(
    none: JudgedAnswers, answerable: JudgedAnswers, draw: Bootstrap
) -> dict[str, dict[str, Estimate]]:
    """Return, by condition, the mean P(correct) of answers to questions that have an answer and
    that have none, and how well it tells them apart.

    Among wrong answers of either kind, the grade cannot tell them apart.
    """
    out = {
        "unanswerable": {MEAN: _means({"": none.probability}, draw)[""]},
        "answerable": {MEAN: _means({"": answerable.probability}, draw)[""]},
    }
    both = np.concatenate([answerable.probability, none.probability])
    is_answerable = np.arange(len(both)) < len(answerable.probability)
    wrong = ~np.concatenate([answerable.correct, none.correct])
    for name, chosen in (
        ("answerable over unanswerable", np.ones(len(both), dtype=bool)),
        ("the same, wrong answers", wrong),
    ):
        if is_answerable[chosen].any() and not is_answerable[chosen].all():
            out[name] = {
                POOLED: auroc2_estimate(both[chosen], is_answerable[chosen], **draw.options)
            }
    return out


def in_common(one: JudgedAnswers, other: JudgedAnswers) -> list[str]:
    """Return the ids of the questions that both judge, in the first one's order.

    Raises:
        WorkbenchError: where there are none.
    """
    there = set(other.id.tolist())
    found = [own for own in one.id.tolist() if own in there]
    if not found:
        raise WorkbenchError(
            "The two forms hold out no question in common; draw more questions (questions.limit)."
        )
    return found


def ablations_table(lines: Sequence[Measurement]) -> pd.DataFrame:
    """Return a tidy table: one line per number, with ``value``, ``low``, ``high`` and the number of
    ``questions``.
    """
    return pd.DataFrame(
        [
            {
                "ablation": one.ablation,
                "judge": one.judge,
                "condition": one.condition,
                "measure": one.measure,
                "value": one.estimate.value,
                "low": one.estimate.low,
                "high": one.estimate.high,
                "questions": one.estimate.n,
                "labels": one.labels,
            }
            for one in lines
        ]
    )


def ablations_summary(lines: Sequence[Measurement]) -> dict[str, Any]:
    """Return the flat summary ``<ablation>.<measure>.<judge>.<condition>`` with intervals."""

    def key(one: Measurement) -> str:
        parts = (one.ablation, one.measure, one.judge, one.condition)
        return ".".join(filter(None, parts)).replace(" ", "_").lower()

    return flat_summary({key(one): one.estimate for one in lines})


def _means(values: Mapping[str, Floats], draw: Bootstrap) -> dict[str, Estimate]:
    size = len(next(iter(values.values())))
    statistics = {name: mean_of(each) for name, each in values.items()}
    return bootstrap_counts(statistics, size, **draw.options)


def _check_aligned(one: JudgedAnswers, other: JudgedAnswers) -> None:
    if one.id.tolist() != other.id.tolist() or one.correct.tolist() != other.correct.tolist():
        raise WorkbenchError(
            "Two judges are compared on the same answers to the same questions; align them by id."
        )
