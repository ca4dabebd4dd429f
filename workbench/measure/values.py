"""What a file's cells mean: confidences as numbers on 0-1 and grades as right or wrong, or an error that names the row.

Empty cells and the words for missing (NaN, NA, none, null) are replies without a confidence: unparsed, counted, never filled in.
Other text in the confidence column counts as unparsed too and is reported. A missing or unknown grade is an error, because
leaving it out would change the accuracy. Rows are counted from 1, without the header.
The scale is 0-1 or 0-100 and found from the values: above 1 means percent. That is a guess where a 0-10 scale was used,
so it is always said, and can be given instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.measure.inputs import Bools, Floats

_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>", "-"})
_GRADES = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "correct", "right", "t", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "incorrect", "wrong", "f", "n"), False),
}


@dataclass(frozen=True)
class Confidences:
    """``values`` [n] on 0-1 with NaN = unparsed, the ``scale``'s largest value in the file, and what there is to say."""

    values: Floats
    scale: float
    notes: tuple[str, ...]


def confidences(column: pd.Series, name: str, scale: float | None) -> Confidences:
    """Confidences from the file's ``column``; ``scale`` is the largest value of its scale, None to find it out.

    Raises WorkbenchError for a value outside the scale, an infinite one, or a mixture of 0-1 and 0-100.
    """
    raw, unreadable, percent = _numbers(column, name)
    if np.isinf(raw).any():
        raise WorkbenchError(f"column {name!r}, row {_first(np.isinf(raw))}: the confidence is infinite.")
    found, notes = (scale, []) if scale is not None else _found_scale(raw, name, percent)
    if not found > 0:
        raise WorkbenchError(f"the largest value of a confidence scale is above 0, for example 1 or 100; got {found:g}")
    outside = (raw < 0) | (raw > found)
    if outside.any():
        row = _first(outside)
        raise WorkbenchError(
            f"column {name!r}, row {row}: the confidence {raw[row - 1]:g} lies outside 0-{found:g} "
            f"({int(outside.sum())} such); mend the rows or give the scale's largest value with --scale."
        )
    if unreadable:
        shown, count = unreadable
        notes.append(f"{count:,} replies in column {name!r} hold text, not a number (such as {shown!r}): unparsed.")
    return Confidences(raw / found, found, tuple(notes))


def grades(column: pd.Series, name: str) -> Bools:
    """Right or wrong [n] from the file's ``column``; the first row that is neither is named in the error."""
    codes, kinds = _kinds(column, name)
    meaning = [None if _missing(kind) else _GRADES.get(str(kind).strip().lower()) for kind in kinds]
    for code, (kind, grade) in enumerate(zip(kinds, meaning, strict=True)):
        if grade is None:
            row = _first(codes == code)
            what = "is missing" if _missing(kind) else f"is {str(kind)!r}, neither right (1) nor wrong (0)"
            raise WorkbenchError(
                f"column {name!r}, row {row}: the grade {what} ({int((codes == code).sum())} such); "
                "grade every answer as 1 or 0 first, or leave its row out."
            )
    return np.array(meaning, dtype=np.bool_)[codes]


def texts(column: pd.Series, name: str) -> np.ndarray:
    """Labels [n] as text, "(missing)" where there is none; whole numbers without a decimal point."""
    codes, kinds = _kinds(column, name)
    return np.array(["(missing)" if _empty(kind) else _label(kind) for kind in kinds], dtype=object)[codes]


def _numbers(column: pd.Series, name: str) -> tuple[Floats, tuple[str, int] | None, bool]:
    """Numbers [n], an example and the count of text that is no number, and whether per cent signs were seen."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), None, False
    codes, kinds = _kinds(column, name)
    signed = [isinstance(kind, str) and kind.strip().endswith("%") for kind in kinds]
    values = np.array([_number(kind) for kind in kinds])
    lost = np.array([np.isnan(value) and not _missing(kind) for value, kind in zip(values, kinds, strict=True)])
    unreadable = None
    if lost.any():
        unreadable = (str(kinds[int(np.argmax(lost))])[:40], int(lost[codes].sum()))
    return values[codes], unreadable, any(signed)


def _kinds(column: pd.Series, name: str) -> tuple[np.ndarray, list[object]]:
    """The distinct values of ``column`` and which of them each row holds [n]: text is interpreted once a kind."""
    try:
        codes, kinds = pd.factorize(column, use_na_sentinel=False)
    except TypeError as error:
        raise WorkbenchError(f"column {name!r} holds lists or objects; write one plain value a row.") from error
    return codes, list(kinds)


def _number(kind: object) -> float:
    if isinstance(kind, bool | np.bool_ | list | dict) or kind is None:
        return float("nan")
    text = str(kind).strip().removesuffix("%").strip()
    try:
        return float(text) if "_" not in text else float("nan")
    except ValueError:
        return float("nan")


def _found_scale(raw: Floats, name: str, percent: bool) -> tuple[float, list[str]]:
    parsed = raw[~np.isnan(raw)]
    if percent or "percent" in name.lower() or name.lower().endswith("pct"):
        return 100.0, [f"column {name!r} is read as 0-100."]
    if not len(parsed) or parsed.max() <= 1:
        return 1.0, [f"column {name!r} is read as 0-1."]
    if ((parsed > 0) & (parsed < 1)).mean() > 0.5:
        row = _first(raw > 1)
        raise WorkbenchError(
            f"column {name!r} mixes 0-1 and 0-100: most values lie between 0 and 1, row {row} holds {raw[row - 1]:g}; "
            "mend the rows or give the scale's largest value with --scale."
        )
    note = f"column {name!r} is read as 0-100."
    if parsed.max() <= 10:
        note = f"column {name!r} is read as 0-100 although no value exceeds {parsed.max():g}; a 0-10 scale needs --scale 10."
    return 100.0, [note]


def _missing(kind: object) -> bool:
    return _empty(kind) or str(kind).strip().lower() in _MISSING


def _empty(kind: object) -> bool:
    return kind is None or kind is pd.NA or kind is pd.NaT or (isinstance(kind, float) and np.isnan(kind)) or kind == ""


def _label(kind: object) -> str:
    return str(int(kind)) if isinstance(kind, float) and kind.is_integer() else str(kind)


def _first(mask: np.ndarray) -> int:
    return int(np.argmax(mask)) + 1
