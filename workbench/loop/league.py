"""All recipes side by side: every arm over its seeds, on questions of the domains taught and of those held out.

A line's value is the mean over its seeds. Its interval is a bootstrap over both: each resample draws questions with replacement and, apart
from that, as many seeds as there are with replacement; with one seed it speaks of questions alone, which ``seeds`` tells. All lines of one
recipe share their resampled questions. ``untaught`` lines (the base model, its Platt map fitted on training questions) stand once for each way of asking.
What it does not show: whether two lines differ; their intervals may overlap while the paired difference, which every
recipe's own page has, is clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.loop.pupils import SHUFFLED
from workbench.loop.readouts import BEFORE
from workbench.loop.recipe_report import MAPPED
from workbench.measure import Estimate
from workbench.measure.bootstrap import resampled_counts
from workbench.measure.calibration import BinnedForecasts
from workbench.measure.cells import one_cell_each
from workbench.measure.counted import CountStatistic
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.inputs import Bools, Floats, checked_domain
from workbench.measure.smooth_calibration import SmoothEce

IN_DOMAIN, OUT_OF_DOMAIN = "in domain", "out of domain"
UNTAUGHT = (BEFORE, "platt")
ECE_BINS = 10
Codes = NDArray[np.int64]
Statistic = Callable[[Floats, Bools, Codes], CountStatistic]


def _within(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return Auroc2Within(confidence, correct, codes)


def _ece(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return BinnedForecasts(confidence, correct, ECE_BINS).ece


def _smooth(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return SmoothEce(confidence, correct)


MEASURES: Mapping[str, tuple[str, Statistic]] = {
    "AUROC2 text within": ("stated", _within),
    "AUROC2 expected within": ("expected", _within),
    "ECE text": ("stated", _ece),
    "ECE expected": ("expected", _ece),
    "smooth ECE text": ("stated", _smooth),
    "smooth ECE expected": ("expected", _smooth),
}
"""Heading -> the readout measured, and how; AUROC2 is the mean within domain."""


@dataclass(frozen=True)
class Played:
    """A recipe's finished run: its summary, and the held-out questions with every condition's readouts."""

    recipe: str
    summary: Mapping[str, Any]
    held_out: pd.DataFrame
    held_out_domains: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """One line: who, on which questions, and how well.

    Attributes:
        arm: the arm, its shuffled twin, or an untaught base model.
        seeds, questions: how many of each the estimates come from.
        estimates: by heading of MEASURES; a measure is left out where nothing was parsed.
        accuracy: of the base model's answers to the part's questions, in which all confidence is stated.
        tokens, seconds: of one training, mean over seeds; None for what is not trained.
    """

    recipe: str
    arm: str
    part: str
    seeds: int
    questions: int
    estimates: Mapping[str, Estimate]
    accuracy: float
    tokens: float | None
    seconds: float | None

    @property
    def name(self) -> str:
        return f"{self.recipe} · {self.arm}"


def league(played: Sequence[Played], *, resamples: int, seed: int) -> list[Standing]:
    """Every line of every recipe, on both parts of its held-out questions.

    Errors: WorkbenchError where no recipe has been played.
    """
    if not played:
        raise WorkbenchError("A league needs at least one recipe that was taught.")
    out, seen = [], set()
    for one in played:
        for part, table in parts_of(one).items():
            for standing in _standings(one, part, table, resamples=resamples, seed=seed):
                key = (standing.arm, part, table["expected_before"].to_numpy().tobytes())
                if standing.arm not in UNTAUGHT or key not in seen:
                    out.append(standing)
                seen.add(key)
    return out


def parts_of(one: Played) -> dict[str, pd.DataFrame]:
    """The held-out questions of domains that were taught, and of those that were not, where there are any."""
    outside = one.held_out["domain"].isin(one.held_out_domains)
    parts = {IN_DOMAIN: one.held_out[~outside], OUT_OF_DOMAIN: one.held_out[outside]}
    return {name: table for name, table in parts.items() if len(table)}


def arms_of(table: pd.DataFrame) -> dict[str, list[str]]:
    """The conditions of each line: the seeds of an arm together, each twin by itself, and what is untaught."""
    found = [name.removeprefix("expected_") for name in table.columns if name.startswith("expected_")]
    lines: dict[str, list[str]] = {}
    for name in found:
        arm, mark, number = name.rpartition("-seed")
        lines.setdefault(arm if mark and number.isdigit() else name, []).append(name)
    return {name: each for name, each in lines.items() if name not in MAPPED and not name.endswith("-temperature")}


def _standings(one: Played, part: str, table: pd.DataFrame, *, resamples: int, seed: int) -> list[Standing]:
    correct = table["correct"].to_numpy(dtype=bool)
    codes = checked_domain(table["domain"], len(table))
    cells = one_cell_each(len(table))
    drawn = np.concatenate([*resampled_counts(cells, resamples=resamples, seed=seed)])
    counts = np.concatenate([np.ones((1, len(table))), drawn])
    out = []
    for arm, conditions in arms_of(table).items():
        chosen = np.random.default_rng(seed).integers(len(conditions), size=(resamples, len(conditions)))
        estimates = {}
        for heading, (readout, statistic) in MEASURES.items():
            columns = [table[f"{readout}_{name}"].to_numpy(dtype=np.float64) for name in conditions]
            if all(np.isnan(column).all() for column in columns):
                continue
            values = np.stack([statistic(column, correct, codes)(counts) for column in columns])
            estimates[heading] = over_seeds(values, chosen, len(table))
        out.append(
            Standing(
                recipe=one.recipe,
                arm=arm,
                part=part,
                seeds=len(conditions),
                questions=len(table),
                estimates=estimates,
                accuracy=float(correct.mean()),
                tokens=_mean(one.summary, "training.tokens", conditions),
                seconds=_mean(one.summary, "seconds.training", conditions),
            )
        )
    return out


def over_seeds(values: Floats, chosen: NDArray[np.int64], questions: int) -> Estimate:
    """The mean over seeds of ``values`` [seeds, 1 + resamples], and its interval.

    The first column is measured on the questions as they are, the others on resampled ones; ``chosen`` [resamples, seeds] are
    the seeds each resample takes.
    """
    resampled = np.take_along_axis(values[:, 1:].T, chosen, axis=1).mean(axis=1)
    known, value = resampled[~np.isnan(resampled)], float(values[:, 0].mean())
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) and not np.isnan(value) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), questions)


def _mean(summary: Mapping[str, Any], key: str, conditions: Sequence[str]) -> float | None:
    found = [summary[f"{key}.{name}"] for name in conditions if f"{key}.{name}" in summary]
    return float(np.mean(found)) if found else None


def league_table(standings: Sequence[Standing]) -> pd.DataFrame:
    """Tidy: one line a standing and measure, with ``value``, ``low``, ``high`` and the costs."""
    return pd.DataFrame(
        [
            {
                "recipe": one.recipe, "arm": one.arm, "part": one.part, "seeds": one.seeds, "questions": one.questions,
                "measure": heading, "value": estimate.value, "low": estimate.low, "high": estimate.high,
                "accuracy": one.accuracy, "training_tokens": one.tokens, "training_seconds": one.seconds,
            }
            for one in standings
            for heading, estimate in one.estimates.items()
        ]
    )  # fmt: skip


def league_summary(standings: Sequence[Standing]) -> dict[str, Any]:
    """Flat, ``<part>.<measure>.<recipe>.<arm>`` with intervals."""
    out: dict[str, Any] = {}
    for one in standings:
        for heading, estimate in one.estimates.items():
            key = ".".join((one.part, heading, one.recipe, one.arm)).replace(" ", "_").lower()
            out |= estimate.to_dict(key)
    return out


def finished_recipe(recipe: str, folder: Path, summary: Mapping[str, Any], held_out_domains: Sequence[str]) -> Played:
    """A recipe that was taught into ``folder`` (the recipe's own, inside its run's)."""
    table = pd.read_parquet(folder / "report" / "held_out.parquet")
    return Played(recipe, summary, table, tuple(held_out_domains))


def is_taught(standing: Standing) -> bool:
    """Whether the line is an arm, neither a shuffled twin nor untaught."""
    return standing.arm not in UNTAUGHT and not standing.arm.endswith(f"-{SHUFFLED}")
