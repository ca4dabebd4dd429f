"""Measure how much a run's headlines vary between its trainings, which differ in the seed alone.

``seeds.sd.<measure>``, ``.min`` and ``.max`` are the standard deviation (k - 1) and the range of a
headline's values over the k trainings. Each value has its own interval over questions, under the
name of its training, where it has any. ``seeds.mean`` of AUROC2, its gain and the last shift has an
interval over questions and seeds (:mod:`workbench.measure.seed_intervals`). The mean of ECE, of the
layer gradient, of the largest shift and of the half layer has none: the first three are biased in
resamples, the fourth is a whole number. A value that one training does not have leaves the spread
undefined.

The shape of a confidence distribution is the mean and the standard deviation of the expected
confidence over questions, and the mean entropy in bits of a question's distribution over the scale.
Trainings may order answers alike and state other numbers; ``seeds.<readout>.wasserstein`` and
``.agreement`` say how far (:mod:`workbench.measure.seed_spread`). With few trainings the standard
deviation is hardly known itself, and nothing here shows what other questions to teach would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import entropy

from workbench.arrays import Floats, Rows
from workbench.loop.conditions import (
    BEFORE,
    CONTROL,
    EXPECTED,
    READOUTS,
    STATED,
    Condition,
    Key,
    Measures,
    Readouts,
    calibration,
    discrimination,
)
from workbench.loop.seed_patching import (
    GRADIENT,
    HALF,
    LARGEST,
    LAST,
    TrainingCurves,
    shift_under,
)
from workbench.measure import Bootstrap, Estimate, auroc2_difference, seed_split
from workbench.measure.discrimination import Auroc2, Auroc2Within
from workbench.measure.distance import minus
from workbench.measure.inputs import checked_domain
from workbench.measure.seed_intervals import (
    counted_questions,
    drawn_seeds,
    over_seeds,
    statistics_over_seeds,
)
from workbench.measure.weighted import CountStatistic

HEADLINES: Mapping[str, Key] = {
    "AUROC2 stated": Key("auroc2", STATED),
    "AUROC2 stated within": Key("auroc2", STATED, within=True),
    "AUROC2 expected": Key("auroc2", EXPECTED),
    "AUROC2 expected within": Key("auroc2", EXPECTED, within=True),
    "gain AUROC2 stated": Key("auroc2", STATED, contrast="gain"),
    "gain AUROC2 expected": Key("auroc2", EXPECTED, contrast="gain"),
    "ECE stated": Key("ece", STATED),
    "ECE expected": Key("ece", EXPECTED),
    "donor slope passes 1/2 at layer": HALF,
    "layer gradient rho": GRADIENT,
    "largest shift": LARGEST,
    "shift, last layer": LAST,
}
"""Heading -> the measure compared between trainings, of each training's condition."""


@dataclass(frozen=True)
class Shape:
    """The shape of a confidence distribution: ``mean`` and ``sd`` of the expected confidence over
    questions, and the mean ``entropy`` in bits of a question's distribution over the scale.
    """

    mean: float
    sd: float
    entropy: float


def shape_of(expected: Floats, distribution: Floats) -> Shape:
    """Return the shape of ``expected`` [n] and ``distribution`` [n, values], whose rows are made to
    add up to 1: what the model puts outside the scale does not count.
    """
    bits = entropy(np.asarray(distribution, dtype=np.float64), base=2, axis=1)
    return Shape(float(np.mean(expected)), float(np.std(expected, ddof=1)), float(np.mean(bits)))


@dataclass(frozen=True)
class SeedResults:
    """The trainings of a run side by side.

    Attributes:
        seeds: the seed of each training, by its condition; the first is the run's own.
        readouts: of the base model, every training and the control.
        curves: the patching of each training.
        shapes: of the base model, every training and the control.
        measures: every value of :data:`HEADLINES` by training, their spread, and the shapes.
    """

    seeds: Mapping[Condition, int]
    readouts: Readouts
    curves: Mapping[Condition, TrainingCurves]
    shapes: Mapping[Condition, Shape]
    measures: Measures

    def names(self) -> dict[Condition, str]:
        """Return what tables and figures call each training."""
        return {condition: f"seed {seed}" for condition, seed in self.seeds.items()}

    def table(self) -> pd.DataFrame:
        """Return every curve of every training, tidy: one row per seed, curve and layer."""
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "seed": seed,
                        "curve": name,
                        "layer": found.own.layers,
                        "value": curve.value,
                        "low": curve.low,
                        "high": curve.high,
                    }
                )
                for condition, seed in self.seeds.items()
                for found in [self.curves[condition]]
                for name, curve in (
                    ("shift", found.shift),
                    ("donor slope", found.donor_slope),
                    ("reverse shift", found.reverse),
                )
            ],
            ignore_index=True,
        )


def compare_seeds(
    seeds: Mapping[Condition, int],
    readouts: Readouts,
    curves: Mapping[Condition, TrainingCurves],
    shapes: Mapping[Condition, Shape],
    draw: Bootstrap,
) -> SeedResults:
    """Measure every training by itself, and the spread of each headline between them."""
    own = _by_training(seeds, readouts, curves, draw)
    means = _means(list(seeds), readouts, curves, draw)
    measures: Measures = {**own, Key("trainings", part="seeds"): len(seeds)}
    for key in HEADLINES.values():
        values = [_plain(own[key.of(condition)]) for condition in seeds]
        spread = {
            "mean": means.get(key, float(np.mean(values))),
            "sd": float(np.std(values, ddof=1)),
            "min": float(np.min(values)),
            "max": float(np.max(values)),
        }
        measures |= {spread_key(key, name): value for name, value in spread.items()}
    for readout in READOUTS:
        each = {seed: readouts.of[readout][condition] for condition, seed in seeds.items()}
        split = seed_split(each, readouts.correct)
        for name in ("wasserstein", "agreement"):
            measures[Key(name, part=f"seeds.{readout}")] = getattr(split, name)
    for condition, shape in shapes.items():
        measures |= {Key(n, part="shape", condition=condition): v for n, v in vars(shape).items()}
    return SeedResults(seeds, readouts, curves, shapes, measures)


def spread_key(headline: Key, statistic: str) -> Key:
    """Return the key of ``statistic`` ("mean", "sd", "min", "max") of a headline over trainings."""
    part = f"seeds.{statistic}"
    return replace(headline, part=f"{part}.{headline.part}" if headline.part else part)


def _by_training(
    seeds: Mapping[Condition, int],
    r: Readouts,
    curves: Mapping[Condition, TrainingCurves],
    draw: Bootstrap,
) -> Measures:
    taught = r.without([BEFORE, CONTROL])
    out: Measures = {**discrimination(taught, draw), **calibration(taught, draw)}
    for condition in seeds:
        for readout in READOUTS:
            values = r.of[readout]
            out[Key("auroc2", readout, condition, contrast="gain")] = auroc2_difference(
                values[condition], values[BEFORE], r.correct, None, **draw.options
            )
        out |= curves[condition].measures(condition)
    return out


def _means(
    trainings: Sequence[Condition],
    r: Readouts,
    curves: Mapping[Condition, TrainingCurves],
    draw: Bootstrap,
) -> dict[Key, Estimate]:
    """Return the mean over ``trainings`` of the headlines whose interval over questions and seeds
    can be resampled.
    """
    chosen = drawn_seeds(len(trainings), **draw.draws)
    codes = checked_domain(r.domain, len(r.correct))
    pooled, within = (
        counted_questions(strata, **draw.draws) for strata in (np.zeros(len(codes)), codes)
    )
    out = {}
    for key in HEADLINES.values():
        if key.measure != "auroc2":
            continue
        out[key] = statistics_over_seeds(
            [auroc2_statistic(key, r, condition, codes) for condition in trainings],
            within if key.within else pooled,
            chosen,
            (-1.0 if key.contrast else 0.0, 1.0),
            strata=len(np.unique(codes)) if key.within else 1,
        )
    items = len(curves[trainings[0]].own.base)
    counts = counted_questions(np.zeros(items), **draw.draws)
    shifts = [shift_under(curves[condition].own, counts) for condition in trainings]
    out[LAST] = over_seeds(np.stack([shift[:, -1] for shift in shifts]), chosen, items)
    return out


def auroc2_statistic(key: Key, r: Readouts, condition: Condition, codes: Rows) -> CountStatistic:
    """Return AUROC2 as ``key`` says, pooled or within the domains ``codes`` [n], or its gain over
    the base model, as a function of how often each question is counted.
    """
    own, base = (r.of[key.readout][one] for one in (condition, BEFORE))

    def scored(values: Floats) -> CountStatistic:
        if key.within:
            return Auroc2Within(values, r.correct, codes)
        return Auroc2(values, r.correct)

    if key.contrast != "gain":
        return scored(own)
    both = ~np.isnan(own) & ~np.isnan(base)
    return minus(*(scored(np.where(both, values, np.nan)) for values in (own, base)))


def _plain(value: object) -> float:
    """Return a measure's number; NaN for one that is not there."""
    if isinstance(value, Estimate):
        return value.value
    return float("nan") if not isinstance(value, int | float) else float(value)
