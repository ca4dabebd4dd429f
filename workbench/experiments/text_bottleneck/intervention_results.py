"""Measure what changes of the probe's direction did to what a run's model says.

All numbers are of held-out questions, paired over them. *Lost*: AUROC2 within domain unpatched
minus that after a direction was taken out, of the expected and of the written confidence; positive
where the direction was needed. *Followed*: the slope of the patched expected confidence on that of
the question whose projection was swapped in (:func:`workbench.patch.effects.following`). *Pushed*:
the mean change of the level. *Mapped*: AUROC2 within domain of the text under the rank-one map, and
its rank correlation with the reading that was put onto the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Rows
from workbench.bottleneck.rank_one_map import Strength
from workbench.experiments.text_bottleneck.condition_model import NONE, PROBE
from workbench.experiments.text_bottleneck.conditions import ModelCondition
from workbench.experiments.text_bottleneck.interventions import (
    DIRECTIONS,
    DRAWN,
    LEFT,
    MAP,
    MAPPED,
    OTHER,
    PUSHED,
    PUSHES,
    RANDOM,
    REMOVED,
    SWAPPED,
    intervention_stage,
)
from workbench.experiments.text_bottleneck.read import Split
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_within_estimate,
    bootstrap,
    spearman,
)
from workbench.measure.interval import IntervalCurve
from workbench.patch.effects import Sweep, following
from workbench.pipeline.store import ROW

EXPECTED, WRITTEN = SAID = ("expected", "written")
NUMBER = ("number",)


@dataclass(frozen=True)
class Removal:
    """What is lost when a direction is taken out after ``layer``, and what is then left."""

    layer: int
    direction: str
    number: int
    within: dict[str, Estimate]
    lost: dict[str, Estimate]


@dataclass(frozen=True)
class Swap:
    """The slopes on the other question's confidence, one a layer."""

    direction: str
    number: int
    followed: IntervalCurve


@dataclass(frozen=True)
class Push:
    """The mean change of expected and written confidence under a push of ``length``."""

    layer: int
    direction: str
    number: int
    length: float
    moved: dict[str, Estimate]


@dataclass(frozen=True, eq=False)
class MappedText:
    """The text under the rank-one map.

    Attributes:
        within: AUROC2 within domain of the text with the questions' own readings put onto it.
        another, random: the same with another question's reading, and with their own put onto each
            random direction.
        gain: of ``within`` over the text unpatched.
        follows: the rank correlation of the text with the reading that was put onto it.
        written: [held-out] the text.
    """

    chosen: Strength
    training_auroc2: float
    within: Estimate
    another: Estimate
    random: tuple[Estimate, ...]
    gain: Estimate
    follows: Estimate
    written: Floats


@dataclass(frozen=True, eq=False)
class Interventions:
    """All changes of one condition.

    Attributes:
        layers: the layers that were changed.
        patched, pushed: how many held-out questions directions were changed in, and were pushed.
        left: AUROC2 within domain of new probes on states without a direction, by its name.
        said: AUROC2 within domain of the patched questions, unpatched, by what is read.
    """

    layers: tuple[int, ...]
    patched: int
    pushed: int
    removals: tuple[Removal, ...]
    swaps: tuple[Swap, ...]
    pushes: tuple[Push, ...]
    mapped: MappedText
    left: dict[str, tuple[Estimate, ...]]
    said: dict[str, Estimate]


@dataclass(frozen=True, eq=False)
class _Graded:
    """The grades and domains of some held-out questions [n], by row."""

    rows: Rows
    correct: Bools
    domain: np.ndarray

    def within(self, scores: Floats, draw: Bootstrap) -> Estimate:
        return auroc2_within_estimate(scores, self.correct, self.domain, **draw.options)

    def difference(self, first: Floats, second: Floats, draw: Bootstrap) -> Estimate:
        return auroc2_difference(first, second, self.correct, self.domain, **draw.options)


def measure_interventions(
    context: Run, condition: ModelCondition, split: Split, draw: Bootstrap
) -> Interventions:
    """Measure the changes of a condition."""
    stage = context.stage(intervention_stage(condition.name))
    table, pushes, mapped = (stage.table(name) for name in (DIRECTIONS, PUSHES, MAP))
    patched = _graded(split, table)
    base = {name: _scores(table, patched.rows, name, kind=NONE) for name in SAID}
    everyone = _Graded(split.test, split.questions.correct, split.questions.domain)
    left = stage.tensors(LEFT)
    return Interventions(
        tuple(int(layer) for layer in stage.facts()["layers"]),
        len(patched.rows),
        pushes[ROW].nunique(),
        _removals(table, patched, base, draw),
        _swaps(table, patched.rows, base[EXPECTED], draw),
        _pushes(pushes, draw),
        _mapped(mapped, stage.facts(), everyone, draw),
        {name: tuple(everyone.within(each, draw) for each in left[name].T) for name in DRAWN},
        {name: patched.within(scores, draw) for name, scores in base.items()},
    )


def _graded(split: Split, table: pd.DataFrame) -> _Graded:
    rows = np.sort(table[ROW].unique())
    at = np.searchsorted(split.test, rows)
    return _Graded(rows, split.questions.correct[at], split.questions.domain[at])


def _scores(table: pd.DataFrame, rows: Rows, column: str, **change: object) -> Floats:
    """Return a column [n] under the one change that has these attributes."""
    chosen = np.ones(len(table), dtype=bool)
    for name, value in change.items():
        chosen &= (table[name] == value).to_numpy()
    found: Floats = table[chosen].set_index(ROW)[column].loc[rows.tolist()].to_numpy(dtype=float)
    return found


def _changes(table: pd.DataFrame, kind: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    found = table[table["kind"] == kind][list(names)].drop_duplicates()
    return list(found.itertuples(index=False, name=None))


def _removals(
    table: pd.DataFrame, patched: _Graded, base: dict[str, Floats], draw: Bootstrap
) -> tuple[Removal, ...]:
    out = []
    for layer, direction, number in _changes(table, REMOVED, ("layer", "direction", "number")):
        key = {"kind": REMOVED, "layer": layer, "direction": direction, "number": number}
        scores = {name: _scores(table, patched.rows, name, **key) for name in SAID}
        within = {name: patched.within(each, draw) for name, each in scores.items()}
        lost = {n: patched.difference(base[n], each, draw) for n, each in scores.items()}
        out.append(Removal(int(layer), direction, int(number), within, lost))
    return tuple(out)


def _swaps(table: pd.DataFrame, rows: Rows, base: Floats, draw: Bootstrap) -> tuple[Swap, ...]:
    partner = table[table["kind"] == NONE].set_index(ROW)["partner"].loc[rows.tolist()]
    donor = base[np.searchsorted(rows, partner.to_numpy())]
    layers = np.sort(table[table["kind"] == SWAPPED]["layer"].unique())
    out = []
    for direction, number in _changes(table, SWAPPED, ("direction", "number")):
        key = {"kind": SWAPPED, "direction": direction, "number": number}
        patched = np.stack(
            [_scores(table, rows, EXPECTED, layer=layer, **key) for layer in layers], axis=1
        )
        sweep = Sweep(layers.astype(np.int64), base, donor, patched)
        slope, _ = following(sweep, resamples=draw.resamples, seed=draw.seed)
        out.append(Swap(direction, int(number), slope))
    return tuple(out)


def _pushes(table: pd.DataFrame, draw: Bootstrap) -> tuple[Push, ...]:
    names = ("layer", "direction", "number", "length")
    rows = np.sort(table[ROW].unique())
    base = {name: _scores(table, rows, name, kind=NONE) for name in SAID}
    out = []
    for layer, direction, number, length in _changes(table, PUSHED, names):
        key = dict(zip(names, (layer, direction, number, length), strict=True))
        moved = {name: _scores(table, rows, name, **key) - base[name] for name in SAID}
        found = {name: _mean(each[~np.isnan(each)], draw) for name, each in moved.items()}
        out.append(Push(int(layer), direction, int(number), float(length), found))
    return tuple(out)


def _mapped(
    table: pd.DataFrame, facts: Mapping[str, Any], everyone: _Graded, draw: Bootstrap
) -> MappedText:
    rows = everyone.rows
    random = [number for (number,) in _changes(table[table["direction"] == RANDOM], MAPPED, NUMBER)]
    own, another = (_scores(table, rows, WRITTEN, direction=name) for name in (PROBE, OTHER))
    text, reading = (_scores(table, rows, name, kind=NONE) for name in (WRITTEN, "z"))
    known = ~np.isnan(own)
    return MappedText(
        Strength(**facts["map"]),
        float(facts["training_auroc2"]),
        everyone.within(own, draw),
        everyone.within(another, draw),
        tuple(
            everyone.within(_scores(table, rows, WRITTEN, direction=RANDOM, number=each), draw)
            for each in random
        ),
        everyone.difference(own, text, draw),
        spearman(reading[known], own[known], **draw.options),
        own,
    )


def _mean(values: Floats, draw: Bootstrap) -> Estimate:
    """Return the mean; undefined where a push leaves no question a number to write."""
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    return bootstrap(np.mean, values, **draw.options)
