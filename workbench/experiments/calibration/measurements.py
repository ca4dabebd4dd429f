"""Make the ablations' lines from finished runs: who judged which answers, and how well.

``home`` is the run in which the judges were trained. The base model judges as ``before``
everywhere, from each run's own stage "elicit".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.experiments.calibration.metrics import (
    JudgedAnswers,
    Measurement,
    difference,
    fitted_temperature,
    in_common,
    on_unanswerable,
    quality,
    question_alone,
    verdicts,
)
from workbench.experiments.recipes.results import kept_back
from workbench.experiments.recipes.trainings import Training
from workbench.experiments.transfer.evaluate import TransferredAdapter
from workbench.loop.conditions import BEFORE
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, Estimate
from workbench.measure.recalibration import Map
from workbench.pipeline.store import ROW
from workbench.teach.recipes.calibration import CURVES, share_of

LABELS, PULL, SWAPPED, OTHERS, FORMS, UNANSWERABLE = (
    "labels",
    "divergence",
    "swapped",
    "other-answers",
    "forms",
    "unanswerable",
)
Measured = Mapping[str, Estimate]


@dataclass(frozen=True)
class Judge:
    """A judge: a training of the run ``home``, or its base model (None)."""

    home: Run
    training: Training | None

    @property
    def name(self) -> str:
        condition = BEFORE if self.training is None else self.training.condition
        return condition.name

    @property
    def labels(self) -> int:
        """The number of graded answers it was trained on."""
        return (
            0
            if self.training is None
            else int(self.home.stage(self.training.stage("teach")).facts()["examples"])
        )

    def of(self, context: Run) -> JudgedAnswers:
        """Return its verdicts on the held-out answers of a run, ``home`` or another it has
        judged.
        """
        return verdicts(context, self._stage(context), self._temperature())

    def _stage(self, context: Run) -> str:
        if self.training is None:
            return "elicit"
        return (
            self.training.stage("elicit")
            if context is self.home
            else TransferredAdapter(self.home, self.training).stage()
        )

    def _temperature(self) -> Map:
        if self.training is None:
            table, _ = load_questions(self.home)
            rows = table[ROW][table["split"] == "train"].to_numpy()
        else:
            rows = kept_back(self.home, self.training)
        return fitted_temperature(self.home, self._stage(self.home), rows)


def label_lines(home: Run, trainings: Sequence[Training], draw: Bootstrap) -> list[Measurement]:
    """Return the measures of every arm on the held-out answers of ``home``, with the number of its
    labels.
    """
    before = Judge(home, None)
    out = _lines(LABELS, before, {"no labels": quality(before.of(home), draw)})
    for training in sorted(trainings, key=lambda training: _place(training.arm.name)):
        arm, percent = share_of(training.arm.name)
        found = {f"{percent} % of the labels": quality(Judge(home, training).of(home), draw)}
        out += _lines(LABELS, Judge(home, training), found, arm)
    return out


def pull_lines(home: Run, pulled: Training, free: Training, draw: Bootstrap) -> list[Measurement]:
    """Return the measures of the query trained with the divergence and without it, and with minus
    without.
    """
    judge = Judge(home, pulled)
    own, other = judge.of(home), Judge(home, free).of(home)
    found = {
        "with the divergence": quality(own, draw),
        "without it": quality(other, draw),
        "with - without": difference(own, other, draw),
    }
    return _lines(PULL, judge, found)


def swapped_lines(
    home: Run, away: Run, trainings: Sequence[Training], draw: Bootstrap
) -> list[Measurement]:
    """Return what the question alone tells each judge."""
    out = []
    for judge in _judges(home, trainings):
        out += _lines(SWAPPED, judge, question_alone(judge.of(home), judge.of(away), draw))
    return out


def other_lines(
    home: Run, away: Run, trainings: Sequence[Training], draw: Bootstrap
) -> list[Measurement]:
    """Return the measures of each judge on the model's answers and on another model's, each with
    its questions.
    """
    out = []
    for judge in _judges(home, trainings):
        own, other = quality(judge.of(home), draw), quality(judge.of(away), draw)
        out += _lines(OTHERS, judge, {"own answers": own, "another model's answers": other})
    return out


def unanswerable_lines(
    home: Run, away: Run, trainings: Sequence[Training], draw: Bootstrap
) -> list[Measurement]:
    """Return the measures of each judge on answers to questions that have none, compared with those
    that have one, from the same source if it holds any.
    """
    out = []
    for judge in _judges(home, trainings):
        found = judge.of(away)
        answerable = found.where(found.answerable)
        answered = answerable if len(answerable.id) else judge.of(home)
        out += _lines(
            UNANSWERABLE, judge, on_unanswerable(found.where(~found.answerable), answered, draw)
        )
    return out


def form_lines(
    taught: Mapping[str, tuple[Run, list[Training]]], draw: Bootstrap
) -> list[Measurement]:
    """Return the measures of every judge in every form, on the questions held out in both.
    ``taught`` has the run of each form and its trainings.
    """
    first, second = (Judge(home, None).of(home) for home, _ in taught.values())
    ids = in_common(first, second)
    out = []
    for form, (context, _) in taught.items():
        judges = {BEFORE.name: Judge(context, None)} | {
            f"{training.name}, taught {own}": Judge(home, training)
            for own, (home, trainings) in taught.items()
            for training in trainings
        }
        for name, judge in judges.items():
            found = quality(judge.of(context).at(ids), draw)
            out += _lines(FORMS, judge, {f"judges {form}": found}, name)
    return out


def _judges(home: Run, trainings: Sequence[Training]) -> list[Judge]:
    """Return the base model and the trainings as judges."""
    return [Judge(home, None), *(Judge(home, training) for training in trainings)]


def _place(name: str) -> tuple[bool, str, int]:
    """Return the key that sorts the arms that are curves first, by rising share."""
    arm, percent = share_of(name)
    return arm not in CURVES, arm, percent


def _lines(
    ablation: str, judge: Judge, found: Mapping[str, Measured], name: str = ""
) -> list[Measurement]:
    return [
        Measurement(ablation, name or judge.name, condition, measure, estimate, judge.labels)
        for condition, each in found.items()
        for measure, estimate in each.items()
    ]
