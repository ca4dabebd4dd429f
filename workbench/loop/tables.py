"""Write the table of results of the main loop and every recipe: one row per condition, one column
per measure.

Cells are value and 95 % bootstrap interval over held-out questions. Intervals of two rows may
overlap where the paired difference is clear: differences are in the summary under ``gain`` and
``vs_control``, not here.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pandas as pd

from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    EXPECTED,
    PROBE,
    STATED,
    Condition,
    Key,
    Readouts,
    Value,
)
from workbench.loop.rivals import NOT_MEASURED, RIVALS, rival_key
from workbench.loop.run import Run
from workbench.measure import Estimate
from workbench.report.formatting import cell_text

Columns = Mapping[str, Key]
"""Heading -> the measure below it, of each row's condition."""

SAMPLE_ROWS = 12
TRAINING_SECONDS = Key("training", part="seconds")

COLUMNS: Columns = {
    "AUROC2 stated": Key("auroc2", STATED),
    "AUROC2 stated within": Key("auroc2", STATED, within=True),
    "AUROC2 expected": Key("auroc2", EXPECTED),
    "AUROC2 expected within": Key("auroc2", EXPECTED, within=True),
    "ECE stated": Key("ece", STATED),
    "ECE expected": Key("ece", EXPECTED),
    "smooth ECE stated": Key("smooth_ece", STATED),
    "smooth ECE expected": Key("smooth_ece", EXPECTED),
    "Brier expected": Key("brier", EXPECTED),
    "accuracy": Key("accuracy"),
    "parsed": Key("parse_rate", STATED),
    "training tokens": Key("tokens", part="training"),
    "seconds": TRAINING_SECONDS,
}


def measures_table(measures: Mapping[Key, Value]) -> pd.DataFrame:
    """Return every measured number as a tidy table: a row each, with the parts of its key in
    columns, ``value``, and ``low``, ``high`` and ``n`` where it is an estimate.
    """
    rows = []
    for key, value in measures.items():
        if isinstance(value, Estimate):
            numbers: dict[str, float | None] = vars(value)
        elif isinstance(value, int | float):
            numbers = {"value": float(value), "low": None, "high": None, "n": None}
        else:
            continue
        condition = "" if key.condition is None else key.condition.name
        rows.append({**vars(key), "condition": condition, **numbers})
    return pd.DataFrame(rows).astype({"low": float, "high": float, "n": "Int64"})


def measured(columns: Columns, measures: Collection[Key]) -> dict[str, Key]:
    """Return those of ``columns`` that were measured under any condition."""
    there = {key.of(None) for key in measures if key.condition is not None}
    return {head: key for head, key in columns.items() if key in there}


def table_rows(
    conditions: Iterable[Condition], measures: Mapping[Key, Value], columns: Columns = COLUMNS
) -> list[dict[str, str]]:
    """Return one row per condition; cells of measures a condition does not have are empty."""
    return [
        {"arm": one.name, **{head: cell(measures, key.of(one)) for head, key in columns.items()}}
        for one in conditions
    ]


def table_keys(
    conditions: Iterable[Condition], measures: Mapping[Key, Value], columns: Columns = COLUMNS
) -> list[dict[str, str]]:
    """Return the same rows with the summary's key in each cell, "" where it is empty. These keys
    are kept, so that :func:`rows_of_summary` can write the table again.
    """
    return [
        {
            "arm": one.name,
            **{
                head: "" if measures.get(key.of(one)) is None else str(key.of(one))
                for head, key in columns.items()
            },
        }
        for one in conditions
    ]


def rows_of_summary(
    keys: Iterable[Mapping[str, str]], summary: Mapping[str, Any]
) -> list[dict[str, str]]:
    """Return the rows of :func:`table_rows`, from the ``keys`` of its cells and a written
    summary.
    """
    return [
        {head: name if head == "arm" else _read(summary, name) for head, name in row.items()}
        for row in keys
    ]


def cell(measures: Mapping[Key, Value], key: Key) -> str:
    """Return the measure as the table writes it, with its interval on a second line; "" without
    one.
    """
    return _shown(str(key), measures.get(key))


def _read(summary: Mapping[str, Any], name: str) -> str:
    if not name:
        return ""

    def number(key: str) -> Any:
        # JSON has no NaN.
        return math.nan if summary.get(key) is None else summary[key]

    if f"{name}.low" not in summary:
        return _shown(name, number(name))
    # A summary does not say from how many questions; a cell does not either.
    return _shown(name, Estimate(number(name), number(f"{name}.low"), number(f"{name}.high"), 0))


def _shown(name: str, value: Value) -> str:
    if name.startswith(f"{TRAINING_SECONDS.part}.") and isinstance(value, float):
        return f"{value:.0f} s"
    return cell_text(value)


KNOWN: Columns = {
    "AUROC2": Key("auroc2", PROBE),
    "within": Key("auroc2", PROBE, within=True),
    "layer": Key("layer", part="probe"),
    "position": Key("position", part="probe"),
}

ACTS: Columns = {
    "donor slope passes 1/2 at layer": Key("donor_slope.half_layer", part="patching"),
    "layer gradient rho": Key("layer_gradient", part="patching"),
    "largest shift": Key("shift.largest", part="patching"),
    "shift, last layer": Key("shift.last_layer", part="patching"),
    "of a random vector": Key("shift.random_vector", part="patching"),
    "of a random position": Key("shift.random_position", part="patching"),
    "of its own state": Key("shift.own_base", part="patching"),
}


PROBE_MINUS: Mapping[str, bool] = {"probe minus it": False, "probe minus it, within": True}
"""Heading -> whether the difference is within domain."""


def rival_rows(measures: Mapping[Key, Value]) -> list[dict[str, str]]:
    """Return one row per rival of the probe, those that could not be measured included; none where
    no rival was measured.
    """
    if not any(rival_key(name) in measures for name in RIVALS):
        return []
    return [
        {
            "read from": name.replace("_", " "),
            "AUROC2": cell(measures, rival_key(name))
            if rival_key(name) in measures
            else NOT_MEASURED[name],
            "within": cell(measures, rival_key(name, within=True)),
            "layer": "",
            "position": "",
            **{
                head: cell(measures, rival_key(name, within=within, minus=True))
                for head, within in PROBE_MINUS.items()
            },
        }
        for name in RIVALS
    ]


def headline_tables(
    conditions: Iterable[Condition], measures: Mapping[Key, Value], questions: int, patched: int
) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the tables above the figures: what is stated on the held-out ``questions``, what is
    known, and where it acts, measured on the ``patched`` ones.

    Rows in which nothing has been measured yet are left out, and so are tables without rows.
    """
    rivals = rival_rows(measures)
    known = [
        {
            "read from": f"states {one.name}",
            **{head: cell(measures, key.of(one)) for head, key in KNOWN.items()},
            **(dict.fromkeys(PROBE_MINUS, "") if rivals else {}),
        }
        for one in (BEFORE, AFTER)
    ]
    known = [*known, *rivals]
    acts = {head: cell(measures, key) for head, key in ACTS.items()}
    tables = [
        (
            f"What is said, on {questions} held-out questions",
            table_rows(conditions, measures, measured(COLUMNS, measures)),
        ),
        (
            "What is known: a probe on the hidden states, and its rivals, on the same questions",
            known,
        ),
        (
            f"Where it acts: states put into the base model, on {patched} of them",
            [{"states of": "the tuned model", **acts}],
        ),
    ]
    filled = [
        (heading, [row for row in rows if any([*row.values()][1:])]) for heading, rows in tables
    ]
    return [(heading, rows) for heading, rows in filled if rows]


def sample_answers(context: Run, r: Readouts) -> list[dict[str, Any]]:
    """Return held-out questions of every domain with their answers and those confidences, in
    percent, that have been read.
    """
    if not len(r.questions):
        return []
    answered = context.stage("answer").table("answers").set_index("row")["answer"]
    chosen = (
        r.questions.groupby("domain")
        .head(max(1, SAMPLE_ROWS // r.questions["domain"].nunique()))
        .index
    )
    read = {
        "stated before": r.stated.get(BEFORE),
        "stated after": r.stated.get(AFTER),
        "probe": r.probe.get(BEFORE),
    }
    return [
        {
            "question": r.questions["question"][i],
            "answer": answered[r.questions["row"][i]],
            "correct": bool(r.correct[i]),
            **{
                name: round(100 * float(values[i]), 1)
                for name, values in read.items()
                if values is not None
            },
        }
        for i in chosen
    ]
