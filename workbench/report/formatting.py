"""Format numbers and keys for a reader: the rows of the report's tables.

A summary key such as ``auroc2.stated.before`` becomes "AUROC2 · stated · before"; ``key.low`` and
``key.high`` join their key's row as an interval. Seconds and bytes get units, everything else three
decimals or as many figures as a small number needs. Rounding is for the page only: ``summary.json``
keeps what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from workbench.measure.table import Metric

_WORDS = {
    "auroc2": "AUROC2",
    "ece": "ECE",
    "smooth_ece": "smooth ECE",
    "brier": "Brier",
    "rho": "rho",
    "share_ge_90": "share stated ≥ 90 %",
    "within": "within domain",
    "peak_bytes": "peak",
    "packed_vs_loop": "packed vs loop, largest difference",
}
_BOUNDS = (".low", ".high")


@dataclass(frozen=True)
class SummaryRow:
    """One line of the summary: the key, its words, the value and its interval ("" when it has
    none).
    """

    key: str
    label: str
    value: str
    interval: str


@dataclass(frozen=True)
class KeyWords:
    """What a page calls an entry of its summary: the group that it stands in, and its row there."""

    group: str
    label: str


PROSE = 36
"""Letters of a text from which its column is one of sentences, which are broken into lines."""


@dataclass(frozen=True)
class Cell:
    """One cell of the sample table; ``kind`` is text, prose, number, right, wrong or missing."""

    text: str
    kind: str


def own_keys(summary: Mapping[str, Any]) -> list[str]:
    """Return the keys of ``summary`` that do not bound another one's value."""
    return [
        key
        for key in summary
        if not any(key.endswith(end) and key.removesuffix(end) in summary for end in _BOUNDS)
    ]


def summary_groups(
    summary: Mapping[str, Any], words: Mapping[str, KeyWords] = MappingProxyType({})
) -> list[tuple[str, list[SummaryRow]]]:
    """Return the rows of ``summary`` in groups, in order of first appearance: those that ``words``
    name by key, or else by the first part of their key.
    """
    groups: dict[str, list[SummaryRow]] = {}
    for key in own_keys(summary):
        value = summary[key]
        called = words.get(key) or _spelled(key)
        bounds = [summary.get(key + bound) for bound in _BOUNDS]
        interval = "" if None in bounds else " to ".join(readable(key, bound) for bound in bounds)
        groups.setdefault(called.group, []).append(
            SummaryRow(key, called.label, readable(key, value), interval)
        )
    return list(groups.items())


def readable(key: str, value: Any) -> str:
    """Return ``value`` of the summary entry ``key`` as text, with its unit."""
    value = _plain(value)
    if value is None:
        return "not defined"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, str | dict):
        return str(value)
    number = float(value)
    if key.endswith("bytes") or key.startswith("moved_bytes"):
        return f"{number / 1e9:.2f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"
    if key.startswith("seconds"):
        return f"{number:.1f} s"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{number:.3f}" if number == 0 or abs(number) >= 0.0005 else f"{number:.1e}"


def cell_text(value: Metric | None) -> str:
    """Return ``value`` as a table of measures shows it: an interval on a line of its own, "" for
    None.
    """
    if value is None:
        return ""
    # Imported here, for telling what is there needs no statistics library.
    from workbench.measure.interval import Estimate

    if isinstance(value, Estimate):
        return format(value, "\n.3f")
    if isinstance(value, str):
        return value
    if np.isnan(value):
        return "not defined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def sample_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]] | None:
    """Return column heads and cells of the sample answers; None when there are none."""
    if not rows:
        return None
    columns = list(dict.fromkeys(key for row in rows for key in row))
    heads = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    for at in range(len(columns)):
        if any(row[at].kind == "text" and len(row[at].text) >= PROSE for row in cells):
            for row in cells:
                row[at] = replace(row[at], kind="prose") if row[at].kind == "text" else row[at]
    return heads, cells


def _cell(value: Any) -> Cell:
    value = _plain(value)
    if value is None:
        return Cell("–", "missing")
    if isinstance(value, bool):
        return Cell("right", "right") if value else Cell("wrong", "wrong")
    if isinstance(value, str):
        return Cell(value, "text")
    return Cell(f"{float(value):.4g}", "number")


def _plain(value: Any) -> Any:
    """Return ``value`` as a Python object: numpy scalars unwrapped, NaN as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value


def _spelled(key: str) -> KeyWords:
    """Return the words that a key itself has."""
    first, _, rest = key.partition(".")
    label = " · ".join(_word(part) for part in (rest or first).split("."))
    return KeyWords(_word(first), label)


def _word(part: str) -> str:
    return _WORDS.get(part, part.replace("_", " "))
