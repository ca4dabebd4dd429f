"""Gather the numbers of all finished cells in one tidy table, and the spread of each over seeds.

A row is a cell and a summary key with a number: the axes, ``value``, and the bounds ``low`` and
``high`` of its interval over questions where the run has one. A cell is there once, by its name,
and only if it is finished.

The spread over seeds is that of whole runs. With a grid's seed everything random changes: which
questions are drawn, taught and held out, and the training. So the standard deviation between seeds
holds the draw of questions too, which the interval over questions of one run stands for as well;
they are shown beside each other and never added. ``workbench run --seeds K`` repeats the training
alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from workbench.files.json_files import read_json
from workbench.grid.cells import AXES
from workbench.grid.tasks import Task
from workbench.report.formatting import own_keys

GROUP = ("model", "questions", "recipe", "settings")
"""The axes that runs of one group share; they differ in the seed alone."""
COLUMNS = ("cell", *AXES, "measure", "value", "low", "high")


@dataclass(frozen=True)
class Spread:
    """A measure over the seeds of one group.

    Attributes:
        seeds: how many runs have the measure.
        mean, sd, lowest, highest: over seeds; ``sd`` with n - 1, NaN for one seed.
        low, high: means over seeds of the bounds over questions; NaN where one run has none.
    """

    group: tuple[str, ...]
    measure: str
    seeds: int
    mean: float
    sd: float
    lowest: float
    highest: float
    low: float
    high: float

    @property
    def name(self) -> str:
        """The group as pages call it."""
        return name_group(self.group)


def name_group(group: Sequence[str]) -> str:
    """Return what pages call the runs that share model, question set, recipe and settings."""
    return " · ".join(part for part in group if part)


def gather(tasks: Sequence[Task]) -> pd.DataFrame:
    """Return every number of every summary of ``tasks``, which are finished; a row each.

    Raises:
        WorkbenchError: for a summary that cannot be read.
    """
    rows = [row for task in tasks for row in _rows(task)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"value": "float64", "low": "float64", "high": "float64"})


def _rows(task: Task) -> Iterator[dict[str, Any]]:
    summary = read_json(task.summary, f"delete it and run the cell {task.cell.name} again")
    for key in own_keys(summary):
        value = summary[key]
        # An undefined number is null in a summary.
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            continue
        yield {
            "cell": task.cell.name,
            **task.cell.axes,
            "measure": key,
            "value": value,
            "low": summary.get(f"{key}.low"),
            "high": summary.get(f"{key}.high"),
        }


def chosen_measures(table: pd.DataFrame, patterns: Sequence[str]) -> list[str]:
    """Return the measures of the table that fit a pattern, in the order of the patterns."""
    there = list(dict.fromkeys(table["measure"]))
    found = [name for pattern in patterns for name in there if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(found))


def spreads(table: pd.DataFrame, measures: Sequence[str]) -> list[Spread]:
    """Return the spread over seeds of each measure in each group, undefined where it is undefined
    in one run.
    """
    out = []
    for measure in measures:
        mine = table[table["measure"] == measure]
        for group, rows in mine.groupby(list(GROUP), sort=False):
            value = rows["value"].to_numpy(dtype=np.float64)
            out.append(
                Spread(
                    tuple(str(part) for part in group),
                    measure,
                    len(value),
                    float(value.mean()),
                    float(value.std(ddof=1)) if len(value) > 1 else math.nan,
                    float(value.min()),
                    float(value.max()),
                    float(rows["low"].to_numpy(dtype=np.float64).mean()),
                    float(rows["high"].to_numpy(dtype=np.float64).mean()),
                )
            )
    return out
