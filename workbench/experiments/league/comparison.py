"""Compare all recipes: every arm over its seeds, on questions of the domains trained on and of
those held out.

A line's value is the mean over its seeds. Its interval is a bootstrap over both questions, drawn
within their domain, and seeds (:mod:`workbench.measure.seed_intervals`); with one seed it covers
questions alone, as ``seeds`` shows. All lines of one recipe share their resampled questions, and a
gain over the base model is taken inside each resample, so it is paired. Untrained lines (the base
model, its Platt map fitted on training questions) occur once for each way of asking. The lines do
not show whether two arms differ; their intervals may overlap while the paired difference is clear.
Only the paired gain over the base model is in each line. No interval is corrected for the number of
lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.experiments.league.metrics import MEASURES, statistic_of
from workbench.experiments.recipes.page import MAPPED
from workbench.experiments.recipes.results import PLATT
from workbench.loop.conditions import (
    BEFORE,
    EXPECTED,
    Condition,
    Key,
    group_seeds,
    read_conditions,
)
from workbench.loop.tables import COLUMNS, TRAINING_SECONDS
from workbench.measure import Bootstrap, Estimate, flat_summary
from workbench.measure.inputs import checked_domain
from workbench.measure.seed_intervals import (
    counted_questions,
    drawn_seeds,
    statistics_over_seeds,
)

IN_DOMAIN, OUT_OF_DOMAIN = "in domain", "out of domain"
PROBED = (BEFORE, PLATT)
Parts = Callable[["RecipeOutcome"], Mapping[str, pd.DataFrame]]


@dataclass(frozen=True)
class RecipeOutcome:
    """A recipe's finished run: its summary, and the held-out questions with every condition's
    readouts.
    """

    recipe: str
    summary: Mapping[str, Any]
    held_out: pd.DataFrame
    conditions: tuple[Condition, ...]
    held_out_domains: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonRow:
    """A line of the comparison: who, on which questions, and how well.

    Attributes:
        condition: the arm over its seeds, its control, or an untrained base model.
        seeds, questions: how many of each the estimates come from.
        estimates: by heading of MEASURES; a measure is left out where the line does not have it, or
            nothing was parsed.
        tokens, seconds: of one training, mean over seeds; None for what is not trained.
    """

    recipe: str
    condition: Condition
    part: str
    seeds: int
    questions: int
    estimates: Mapping[str, Estimate]
    tokens: float | None
    seconds: float | None

    @property
    def arm(self) -> str:
        """The condition's name."""
        return self.condition.name

    @property
    def taught(self) -> bool:
        """Whether the line is an arm as it was trained: no control, not recalibrated."""
        return self.condition.taught

    @property
    def name(self) -> str:
        """Recipe and arm."""
        return f"{self.recipe} · {self.arm}"


def compare_recipes(
    played: Sequence[RecipeOutcome], draw: Bootstrap, parts: Parts | None = None
) -> list[ComparisonRow]:
    """Return every line of every recipe, on all ``parts`` of its held-out questions (default:
    :func:`parts_of`).

    Raises:
        WorkbenchError: where no recipe was trained.
    """
    if not played:
        raise WorkbenchError("A league needs at least one recipe that was taught.")
    base = f"{EXPECTED}_{BEFORE.name}"
    out, seen = [], set()
    for one in played:
        for part, table in (parts or parts_of)(one).items():
            for row in _rows(one, part, table, draw):
                key = (row.condition, part, table[base].to_numpy().tobytes())
                if row.condition not in PROBED or key not in seen:
                    out.append(row)
                seen.add(key)
    return out


def parts_of(one: RecipeOutcome) -> dict[str, pd.DataFrame]:
    """Return the held-out questions of domains that were trained on, and of those that were not,
    where there are any.
    """
    outside = one.held_out["domain"].isin(one.held_out_domains)
    parts = {IN_DOMAIN: one.held_out[~outside], OUT_OF_DOMAIN: one.held_out[outside]}
    return {name: table for name, table in parts.items() if len(table)}


def domains_of(one: RecipeOutcome) -> dict[str, pd.DataFrame]:
    """Return the held-out questions of each domain."""
    return {str(name): table for name, table in one.held_out.groupby("domain")}


def arms_of(conditions: Sequence[Condition]) -> dict[Condition, list[Condition]]:
    """Return the conditions of each line: the seeds of an arm together, with and without its
    temperature, each control by itself, and the untrained conditions.
    """
    lines = group_seeds(conditions)
    return {line: each for line, each in lines.items() if line not in MAPPED}


def _rows(
    one: RecipeOutcome, part: str, table: pd.DataFrame, draw: Bootstrap
) -> list[ComparisonRow]:
    codes = checked_domain(table["domain"], len(table))
    counts = counted_questions(codes, **draw.draws)
    out = []
    for line, conditions in arms_of(one.conditions).items():
        chosen = drawn_seeds(len(conditions), **draw.draws)
        estimates = {}
        for heading, measure in MEASURES.items():
            each = [statistic_of(measure, table, codes, condition) for condition in conditions]
            if not any(each):
                continue
            estimates[heading] = statistics_over_seeds(
                each, counts, chosen, measure.range, strata=len(np.unique(codes))
            )
        out.append(
            ComparisonRow(
                recipe=one.recipe,
                condition=line,
                part=part,
                seeds=len(conditions),
                questions=len(table),
                estimates=estimates,
                tokens=_mean(one.summary, COLUMNS["training tokens"], conditions),
                seconds=_mean(one.summary, TRAINING_SECONDS, conditions),
            )
        )
    return out


def _mean(summary: Mapping[str, Any], key: Key, conditions: Sequence[Condition]) -> float | None:
    written = [str(key.of(condition)) for condition in conditions]
    found = [summary[name] for name in written if name in summary]
    return float(np.mean(found)) if found else None


def league_table(rows: Sequence[ComparisonRow]) -> pd.DataFrame:
    """Return a tidy table: one line for each row and measure, with ``value``, ``low``, ``high`` and
    the costs.
    """
    return pd.DataFrame(
        [
            {
                "recipe": one.recipe,
                "arm": one.arm,
                "part": one.part,
                "seeds": one.seeds,
                "questions": one.questions,
                "measure": heading,
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "training_tokens": one.tokens,
                "training_seconds": one.seconds,
            }
            for one in rows
            for heading, estimate in one.estimates.items()
        ]
    )


def league_summary(rows: Sequence[ComparisonRow]) -> dict[str, Any]:
    """Return the flat summary ``<part>.<measure>.<recipe>.<arm>`` with intervals."""
    return flat_summary(
        {
            ".".join((one.part, heading, one.recipe, one.arm)).replace(" ", "_").lower(): estimate
            for one in rows
            for heading, estimate in one.estimates.items()
        }
    )


def finished_recipe(
    recipe: str, folder: Path, summary: Mapping[str, Any], held_out_domains: Sequence[str]
) -> RecipeOutcome:
    """Read a recipe that was trained in ``folder`` (the recipe's, inside that of its run)."""
    table, conditions = (
        pd.read_parquet(folder / "report" / f"{name}.parquet")
        for name in ("held_out", "conditions")
    )
    return RecipeOutcome(
        recipe, summary, table, read_conditions(conditions), tuple(held_out_domains)
    )
