"""Write CSV that a spreadsheet shows and never runs: a text cell that would begin a formula gets an
apostrophe before it.

Spreadsheets take a cell that begins with =, +, - or @ (also after a tab or a line break, also in
full width) for a formula, which can fetch addresses. Domains, answers and ids come from anyone's
file. Numbers, also those written as text, stay unchanged.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

_BEGINS_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*%?\s*")


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` without its index, as UTF-8."""
    safe_cells(table).to_csv(path, index=False)


def safe_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``table`` with an apostrophe before every text, names of columns included, that a
    spreadsheet would take for a formula.
    """
    changed = {
        name: table[name].map(_safe)
        for name in table.columns
        if not pd.api.types.is_numeric_dtype(table[name])
        and not pd.api.types.is_bool_dtype(table[name])
    }
    return table.assign(**changed).rename(columns=_safe)


def _safe(value: Any) -> Any:
    if isinstance(value, str) and _BEGINS_FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
