"""The tables of the page: its main numbers as text and as rows, and every pair, cell and head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.experiments.known_circuits.read import DIRECTIONS, INTO_PROMPT
from workbench.experiments.known_circuits.results import CircuitResults
from workbench.experiments.known_circuits.summary import (
    LEADS,
    SLOPE,
    SPEARMAN,
    moved,
    of_heads,
    unpatched,
)
from workbench.measure import Estimate
from workbench.pipeline.store import code_version
from workbench.report.page import Lead

SAID = dict(zip(DIRECTIONS, ("donor into prompt", "prompt into donor"), strict=True))
SIDES = {"prompt": "prompts", "donor": "donors"}
UNPATCHED, MOVED, HEADS = "unpatched", "patched", "single heads at the last token"
NARROW = (LEADS, SPEARMAN, SLOPE)

Line = tuple[str, str, Mapping[str, Estimate]]
"""Section, row, and the estimates by column."""


def lead_of(results: CircuitResults, columns: Sequence[str] = ()) -> Lead:
    """Return the main numbers as tables of text.

    Args:
        columns: those of the patched numbers that are shown; all if not given.
    """
    headings = {
        UNPATCHED: ("How the model does the tasks, unpatched", "run"),
        MOVED: ("Where the answer is moved", "direction"),
        HEADS: ("Heads chosen on every other pair, each patched alone at the last token", "head"),
    }
    lead = []
    for kind, (heading, column) in headings.items():
        rows = [
            {
                "task": task,
                column: row,
                **{
                    name: _cell(name, value)
                    for name, value in found.items()
                    if kind != MOVED or not columns or name in columns
                },
            }
            for task, row, found in main_numbers(results, kind)
        ]
        if rows:
            lead.append((heading, rows))
    return lead


def main_numbers(results: CircuitResults, kind: str) -> Iterator[Line]:
    """Yield the main numbers of one kind."""
    for found in results.tasks.values():
        title = found.task.title
        if kind == UNPATCHED:
            for side, said in SIDES.items():
                yield title, said, unpatched(found, side)
        elif kind == MOVED:
            for direction, said in SAID.items():
                yield title, said, moved(found, direction)
        elif found.heads is not None:
            yield from (
                (title, name, {"shift": one}) for name, one in of_heads(found.heads).items()
            )


def record_of(results: CircuitResults, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the main numbers as rows of section, row, column, value, low and high."""
    seed = results.config.seed
    return {
        "code": code_version(),
        "settings": configuration,
        "rows": [
            {
                "section": f"{task}, {kind}",
                "row": f"{row}, seed {seed}",
                "column": column,
                **vars(one),
            }
            for kind in (UNPATCHED, MOVED, HEADS)
            for task, row, found in main_numbers(results, kind)
            for column, one in found.items()
        ],
    }


def tables_of(results: CircuitResults) -> dict[str, pd.DataFrame]:
    tasks = results.tasks
    tables = {
        "pairs.csv": [found.pairs.assign(task=name) for name, found in tasks.items()],
        "places.csv": [
            one.places.assign(task=name, direction=direction)
            for name, found in tasks.items()
            for direction, one in found.directions.items()
        ],
        "cells.csv": [
            part.summary(
                resamples=results.config.bootstrap_resamples, seed=results.config.seed
            ).assign(task=name, direction=direction)
            for name, found in tasks.items()
            for direction, one in found.directions.items()
            for part in (one.patched, one.estimated)
        ],
        "heads.csv": [
            part.summary(
                resamples=results.config.bootstrap_resamples, seed=results.config.seed
            ).assign(task=name, direction=INTO_PROMPT)
            for name, found in tasks.items()
            if found.heads is not None
            for part in (found.heads.patched, found.heads.estimated)
        ],
        "verified.csv": [
            found.heads.verified.assign(task=name)
            for name, found in tasks.items()
            if found.heads is not None
        ],
    }
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}


def _cell(name: str, value: Estimate) -> str:
    return format(value, "\n.0f" if name == LEADS else "\n.2f")
