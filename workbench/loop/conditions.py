"""Hold what is stated, expected and probed of the same held-out questions under several conditions,
and compute the measures of each.

A condition is a state of the model, or a map applied to its confidence afterwards: the base model,
the loop's tuned model, an arm of a recipe with a seed, the control trained on shuffled targets, a
recalibration. All are judged by the base model's answers, from the same resamples. Measures are
kept as estimates by :class:`Key` and become text once, when a summary is written. They do not show
whether two conditions differ; differences are separate measures (``contrast``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_estimate,
    auroc2_within_estimate,
    confidence_metrics,
)
from workbench.measure.inputs import Bools, Floats

if TYPE_CHECKING:
    from workbench.plots.theme import Role

CALIBRATION = ("ece", "smooth_ece", "brier", "parse_rate")
STATED, EXPECTED, PROBE = "stated", "expected", "probe"
READOUTS = (STATED, EXPECTED)


@dataclass(frozen=True)
class Condition:
    """The condition whose confidence is judged.

    Attributes:
        arm: what was trained: an arm of a recipe, "" the one adapter of the main loop, None
            nothing.
        seed: of the training, where it is not the first one of the arm.
        control: whether it was trained on shuffled targets.
        recalibration: the map applied to its confidence afterwards; "" none.
    """

    arm: str | None = None
    seed: int | None = None
    control: bool = False
    recalibration: str = ""

    @property
    def name(self) -> str:
        """The name that summaries, tables and pages write. Only here does a condition become text.

        ``before`` is the base model, ``after`` and ``control`` are the main loop's adapters.
        """
        if self.arm is None:
            return self.recalibration or "before"
        parts = (
            self.arm,
            "" if self.seed is None else f"seed{self.seed}",
            "control" if self.control else "",
            self.recalibration,
        )
        return "-".join(part for part in parts if part) or "after"

    def __str__(self) -> str:
        return self.name

    @property
    def taught(self) -> bool:
        """Whether it is an adapter as it was trained: no control, not recalibrated."""
        return self.arm is not None and not self.control and not self.recalibration

    @property
    def any_seed(self) -> Condition:
        """The same condition without its seed: the line of a table that is a mean over seeds."""
        return replace(self, seed=None)

    @property
    def role(self) -> Role | None:
        """The meaning of its colour in figures; None for the arms of a recipe."""
        if self == BEFORE:
            return "before"
        if self.control:
            return "control"
        return "after" if self == AFTER else None


BEFORE = Condition()
AFTER = Condition(arm="")
CONTROL = Condition(arm="", control=True)


def group_seeds(conditions: Iterable[Condition]) -> dict[Condition, list[Condition]]:
    """Put the seeds of an arm together, those with a recalibration by themselves."""
    lines: dict[Condition, list[Condition]] = {}
    for condition in conditions:
        lines.setdefault(condition.any_seed, []).append(condition)
    return lines


def roles_of(conditions: Iterable[Condition]) -> dict[str, Role]:
    """Return the meanings of the conditions' colours, by the names that figures show."""
    return {one.name: one.role for one in conditions if one.role is not None}


def conditions_table(conditions: Iterable[Condition]) -> pd.DataFrame:
    """Write conditions as a table, one row each, with their names in other tables' columns."""
    rows = [{"name": one.name, **vars(one)} for one in conditions]
    return pd.DataFrame(rows).astype({"arm": "string", "seed": "Int64"})


def read_conditions(table: pd.DataFrame) -> tuple[Condition, ...]:
    """Read what :func:`conditions_table` wrote."""
    return tuple(
        Condition(
            arm=None if pd.isna(row["arm"]) else str(row["arm"]),
            seed=None if pd.isna(row["seed"]) else int(row["seed"]),
            control=bool(row["control"]),
            recalibration=str(row["recalibration"]),
        )
        for row in table.to_dict("records")
    )


@dataclass(frozen=True)
class Key:
    """The key of a number: what it is a measure of.

    Attributes:
        measure: "auroc2", "ece", "accuracy", ...
        readout: whose: "stated", "expected" or "probe"; "" for measures of answers.
        condition: None for what is not of one.
        within: whether it is the mean within domain.
        contrast: "gain", "vs_control" or "vs_platt", where it is a paired difference.
        part: the questions or the analysis, where it is not that of all held-out questions.
    """

    measure: str
    readout: str = ""
    condition: Condition | None = None
    within: bool = False
    contrast: str = ""
    part: str = ""

    def __str__(self) -> str:
        """Return the dotted key of the summary, ``gain.auroc2.stated.within.after``."""
        parts = (
            self.part,
            self.contrast,
            self.measure,
            self.readout,
            "within" if self.within else "",
            "" if self.condition is None else self.condition.name,
        )
        return ".".join(part for part in parts if part)

    def of(self, condition: Condition | None) -> Key:
        """Return the same measure of one condition."""
        return replace(self, condition=condition)


Value = Estimate | float | int | str | None
Measures = dict[Key, Value]
"""All measures, as estimates until the summary is written."""


def in_part(part: str, measures: Mapping[Key, Value]) -> Measures:
    """Return the same measures as those of one part."""
    return {replace(key, part=part): value for key, value in measures.items()}


@dataclass(frozen=True)
class Readouts:
    """The readouts of held-out questions, aligned: one row each.

    Attributes:
        questions: the question table's rows.
        correct: [n] whether the base model's answer is right.
        stated, expected: per condition [n], as shares of certainty; the same conditions in both.
        probe: per condition [n] probability of a right answer at the site chosen on training
            questions.
    """

    questions: pd.DataFrame
    correct: Bools
    stated: Mapping[Condition, Floats]
    expected: Mapping[Condition, Floats]
    probe: Mapping[Condition, Floats]

    @property
    def domain(self) -> NDArray[Any]:
        """The domain of each question, [n]."""
        return self.questions["domain"].to_numpy(dtype=str)

    @property
    def of(self) -> dict[str, Mapping[Condition, Floats]]:
        """The readouts by their names."""
        return {STATED: self.stated, EXPECTED: self.expected, PROBE: self.probe}

    @property
    def silent(self) -> tuple[Condition, ...]:
        """The conditions that state nothing as text, at least nothing that can be read."""
        return tuple(one for one, values in self.stated.items() if np.isnan(values).all())

    @property
    def spoken(self) -> bool:
        """Whether a number was stated under any condition; without one there is nothing to draw."""
        return len(self.silent) < len(self.stated)

    def only(self, chosen: Bools) -> Readouts:
        """Return the readouts of the rows ``chosen`` [n]."""
        parts = [
            {condition: values[chosen] for condition, values in each.items()}
            for each in self.of.values()
        ]
        return Readouts(self.questions[chosen].reset_index(drop=True), self.correct[chosen], *parts)

    def without(self, conditions: Collection[Condition]) -> Readouts:
        """Return the readouts of all conditions but these."""
        parts = [
            {one: values for one, values in each.items() if one not in conditions}
            for each in self.of.values()
        ]
        return Readouts(self.questions, self.correct, *parts)

    def table(self) -> pd.DataFrame:
        """Return the held-out questions with their grade and every condition's readouts."""
        table = self.questions[["row", "id", "question", "domain"]].copy()
        table["correct"] = self.correct
        columns = {
            f"{readout}_{condition.name}": values
            for readout, each in self.of.items()
            for condition, values in each.items()
        }
        return table.assign(**columns)


def discrimination(r: Readouts, draw: Bootstrap) -> Measures:
    """Return AUROC2 of every readout under every condition, pooled and within domain."""
    out: Measures = {}

    def add(readout: str, condition: Condition, confidence: Floats) -> None:
        key = Key("auroc2", readout, condition)
        out[key] = auroc2_estimate(confidence, r.correct, **draw.options)
        out[replace(key, within=True)] = auroc2_within_estimate(
            confidence, r.correct, r.domain, **draw.options
        )

    for condition in r.stated:
        for readout in READOUTS:
            add(readout, condition, r.of[readout][condition])
    for condition, values in r.probe.items():
        add(PROBE, condition, values)
    return out


def calibration(r: Readouts, draw: Bootstrap) -> Measures:
    """Return the measures CALIBRATION of every readout, and the share of texts that state 90 or
    more.
    """
    out: Measures = {}
    for readout in READOUTS:
        for condition, confidence in r.of[readout].items():
            metrics = confidence_metrics(confidence, r.correct, r.domain, **draw.options)
            for name in CALIBRATION:
                out[Key(name, readout, condition)] = metrics[name]
            if readout == STATED:
                out[Key("share_ge_90", readout, condition)] = metrics["share_ge_90"]
                out[Key("tier", readout, condition)] = metrics["scale.tier"]
    return out


def without_text(measures: Mapping[Key, Value], silent: Sequence[Condition]) -> Measures:
    """Leave out measures of the text of conditions that state nothing."""
    return {
        key: value
        for key, value in measures.items()
        if key.readout != STATED or key.condition not in silent
    }
