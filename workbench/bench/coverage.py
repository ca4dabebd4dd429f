"""Measure how often the intervals of this package miss what they should cover.

Tables are drawn from laws whose true measures are known (:mod:`.coverage_laws`), each is measured
by the functions that a user's table goes through, and an interval misses where the truth lies
below or above it. A 95 % interval should miss in 5 %. Not every interval is defined in every table
(all answers right, one confidence throughout): misses are a share of those that are, and the share
without is counted beside it. The study shows nothing about what laws leave out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.arrays import Floats
from workbench.bench.coverage_cell import Cell
from workbench.bench.coverage_laws import (
    ANSWER_LAWS,
    PROPORTIONS,
    SWEEP_LAWS,
    AnswerLaw,
    DrawnAnswers,
    SweepLaw,
)
from workbench.bench.coverage_pairs import PAIR_MEASURES, pair_intervals, pair_truths
from workbench.errors import WorkbenchError
from workbench.measure.auroc2_interval import auroc2_difference
from workbench.measure.bootstrap import Bootstrap
from workbench.measure.delong import delong, delong_within
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.interval import Estimate, IntervalCurve
from workbench.measure.meta_d import meta_d_of_correctness
from workbench.measure.metrics import METRICS, statistics_of
from workbench.measure.paired import paired_metrics
from workbench.measure.resampling import Reading, Table
from workbench.measure.table import confidence_metrics
from workbench.patch.effects import Sweep, following, layer_gradient, mean_shift
from workbench.progress import task
from workbench.settings.defaults import BINS

SIZES = (60, 100, 200, 2000)
ITEMS = (16, 64, 128)
TABLES = 200
RESAMPLES = 300
META_ROWS = 200_000
LAYERS_SHOWN = (4, 12, 14, 18, 23)
"""The layers at which curves of a sweep are looked at."""

Intervals = Mapping[str, Estimate]


@dataclass(frozen=True)
class Study:
    """What a study simulates: ``tables`` tables of each law at each of ``sizes`` (answers) and
    ``items`` (sweeps), with intervals from ``resamples`` each; only ``measures`` if any are named.
    """

    tables: int = TABLES
    sizes: tuple[int, ...] = SIZES
    items: tuple[int, ...] = ITEMS
    laws: tuple[str, ...] = (*ANSWER_LAWS, *SWEEP_LAWS)
    measures: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.laws if name not in {*ANSWER_LAWS, *SWEEP_LAWS}]
        if unknown:
            raise WorkbenchError(
                f"there is no law {unknown[0]!r}; choose of "
                f"{', '.join((*ANSWER_LAWS, *SWEEP_LAWS))}"
            )
        unknown = [name for name in self.measures if name not in MEASURES]
        if unknown:
            raise WorkbenchError(
                f"{unknown[0]!r} has no interval to look at; choose of {', '.join(MEASURES)}"
            )

    def wants(self, name: str) -> bool:
        return not self.measures or name in self.measures


_DIFFERENCE = "difference."
_SAME_IN_BOTH = ("accuracy", "uncertainty", "ece_debiased")
PAIRED = tuple(name for name in METRICS if name not in _SAME_IN_BOTH)
_EXTRA = ("auroc2_within", "auroc2_delong", "auroc2_within_delong", "meta_d")
_EXTRA_DIFFERENCES = ("auroc2_within", "auroc2_delong")
SWEEP_MEASURES = ("layer_gradient", "shift", "donor_slope", "base_slope")
MEASURES = (
    *METRICS,
    *_EXTRA,
    *(f"{_DIFFERENCE}{name}" for name in (*PAIRED, *_EXTRA_DIFFERENCES)),
    *PAIR_MEASURES,
    *SWEEP_MEASURES,
)
"""Every measure with an interval; a curve of a sweep counts at each of ``LAYERS_SHOWN``."""


def coverage(study: Study) -> list[Cell]:
    """Simulate ``study``; return one cell per law, size and measure."""
    plan = [
        (name, size)
        for name in study.laws
        for size in (study.sizes if name in ANSWER_LAWS else study.items)
    ]
    cells: list[Cell] = []
    with task("tables", len(plan) * study.tables) as progress:
        for name, size in plan:
            found = []
            for table in range(study.tables):
                rng = np.random.default_rng([study.seed, zlib.crc32(name.encode()), size, table])
                found.append(_intervals(study, name, size, rng))
                progress.advance()
            truths = (
                answer_truths(ANSWER_LAWS[name], study)
                if name in ANSWER_LAWS
                else sweep_truths(SWEEP_LAWS[name], study)
            )
            cells += count(name, size, truths, found)
    return cells


def _intervals(study: Study, law: str, size: int, rng: np.random.Generator) -> Intervals:
    if law in ANSWER_LAWS:
        return answers_intervals(study, ANSWER_LAWS[law].draw(size, rng))
    return sweep_intervals(study, SWEEP_LAWS[law].draw(size, rng))


def count(law: str, n: int, truths: Mapping[str, float], found: Sequence[Intervals]) -> list[Cell]:
    """Count the misses of every measure with a truth in the ``found`` intervals of all tables."""
    cells = []
    for name, truth in truths.items():
        every = [each[name] for each in found if name in each]
        value, low, high = (
            np.array([getattr(each, bound) for each in every]) for bound in ("value", "low", "high")
        )
        if np.isnan(truth) or not len(every):
            continue
        defined = ~np.isnan(low)
        # A truth at the edge of what is possible is reached up to rounding.
        below = defined & (truth < low - 1e-6)
        above = defined & (truth > high + 1e-6)
        known = ~np.isnan(value)
        width = (high - low)[np.isfinite(high - low)]
        cells.append(
            Cell(
                law=law,
                n=n,
                measure=name,
                truth=truth,
                tables=len(found),
                intervals=int(defined.sum()),
                low=int(below.sum()),
                high=int(above.sum()),
                width=float(width[np.isfinite(width)].mean())
                if np.isfinite(width).any()
                else np.nan,
                error=float((value[known] - truth).mean()) if known.any() else float("nan"),
            )
        )
    return cells


def answer_truths(law: AnswerLaw, study: Study) -> dict[str, float]:
    """Return every measure of the law itself, and the differences of its two confidences."""
    first, second = (_one_side(law, readout) for readout in (law.first, law.second))
    found = {
        **first,
        "auroc2_delong": first["auroc2"],
        "auroc2_within_delong": first["auroc2_within"],
        "meta_d": _true_meta_d(law) if study.wants("meta_d") else float("nan"),
        **{f"{_DIFFERENCE}{name}": first[name] - second[name] for name in first},
        "difference.auroc2_delong": first["auroc2"] - second["auroc2"],
        **(pair_truths(law) if any(study.wants(name) for name in PAIR_MEASURES) else {}),
    }
    return {name: found[name] for name in MEASURES if name in found and study.wants(name)}


def _one_side(law: AnswerLaw, readout: Floats) -> dict[str, float]:
    confidence, correct, domain, counts = law.proportions(readout)
    table = Table((Reading(confidence, correct),), domain, counts)
    everyone = counts[None]
    found = {
        name: float(statistic(everyone)[0])
        for name, statistic in statistics_of(table, tuple(METRICS), BINS).items()
    }
    within = Auroc2Within(confidence, correct, domain)(everyone)
    parsed = counts[~np.isnan(confidence)].sum() / counts.sum()
    return {**found, "auroc2_within": float(within[0]), "parse_rate": float(parsed)}


def _true_meta_d(law: AnswerLaw) -> float:
    """Fit meta-d' to the law's answers in proportion, fewer of them."""
    confidence, correct, _, counts = law.proportions(law.first)
    rows = np.round(counts * META_ROWS / PROPORTIONS).astype(np.int64)
    return meta_d_of_correctness(np.repeat(confidence, rows), np.repeat(correct, rows)).meta_d.value


def sweep_truths(law: SweepLaw, study: Study) -> dict[str, float]:
    """Return the layer gradient of the law, and its curves at the layers shown."""
    curves = {"shift": law.shift, "donor_slope": law.donor, "base_slope": law.base}
    found = {"layer_gradient": law.gradient} if study.wants("layer_gradient") else {}
    return found | {
        _at(name, layer): float(curve[layer])
        for name, curve in curves.items()
        if study.wants(name)
        for layer in LAYERS_SHOWN
    }


def _at(name: str, layer: int) -> str:
    return f"{name}.layer_{layer}"


def answers_intervals(study: Study, drawn: DrawnAnswers) -> dict[str, Estimate]:
    """Return every interval wanted of one drawn table."""
    draw = Bootstrap(study.resamples, study.seed)
    single = tuple(name for name in METRICS if study.wants(name))
    within = study.wants("auroc2_within")
    table = confidence_metrics(
        drawn.first,
        drawn.correct,
        drawn.domain if within else None,
        **draw.options,
        names=single,
    )
    found = {name: each for name, each in table.items() if isinstance(each, Estimate)}
    if study.wants("auroc2_delong"):
        found["auroc2_delong"] = delong(drawn.first, drawn.correct)
    if study.wants("auroc2_within_delong"):
        found["auroc2_within_delong"] = delong_within(drawn.first, drawn.correct, drawn.domain)
    if study.wants("meta_d"):
        found["meta_d"] = _meta_d(drawn)
    if study.wants("difference.auroc2_within"):
        found["difference.auroc2_within"] = auroc2_difference(
            drawn.first, drawn.second, drawn.correct, drawn.domain, **draw.options
        )
    wanted = {name: study.wants(name) for name in PAIR_MEASURES}
    if any(wanted.values()):
        found |= pair_intervals(drawn, draw, wanted)
    return found | _differences(study, drawn, draw)


def _differences(study: Study, drawn: DrawnAnswers, draw: Bootstrap) -> dict[str, Estimate]:
    names = tuple(name for name in PAIRED if study.wants(f"{_DIFFERENCE}{name}"))
    exact = "difference.auroc2_delong"
    if not names and not study.wants(exact):
        return {}
    if np.isnan(drawn.first).all():
        return {}
    paired = paired_metrics(drawn.first, drawn.second, drawn.correct, **draw.options, names=names)
    found = {f"{_DIFFERENCE}{name}": paired.difference[name] for name in names}
    return {**found, exact: paired.delong.difference} if study.wants(exact) else found


def _meta_d(drawn: DrawnAnswers) -> Estimate:
    if len(np.unique(drawn.first[~np.isnan(drawn.first)])) < 2:
        return Estimate(*(float("nan"),) * 3, n=len(drawn.first))
    return meta_d_of_correctness(drawn.first, drawn.correct).meta_d


def sweep_intervals(study: Study, sweep: Sweep) -> dict[str, Estimate]:
    """Return every interval wanted of one drawn sweep."""
    draw = Bootstrap(study.resamples, study.seed).draws
    found: dict[str, Estimate] = {}
    curves: dict[str, IntervalCurve] = {}
    if study.wants("layer_gradient"):
        found["layer_gradient"] = layer_gradient(sweep)
    if study.wants("shift"):
        curves["shift"] = mean_shift(sweep, **draw)
    if study.wants("donor_slope") or study.wants("base_slope"):
        curves["donor_slope"], curves["base_slope"] = following(sweep, **draw)
    return found | {
        _at(name, layer): curve.at(layer, len(sweep.base))
        for name, curve in curves.items()
        for layer in LAYERS_SHOWN
    }
