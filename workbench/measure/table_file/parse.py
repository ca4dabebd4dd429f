"""Parse a file's cells: confidences as numbers on 0-1, grades as right or wrong, labels as text, or
an error that names the row.

Empty cells and the words for missing (NaN, NA, none, null) are replies without a confidence:
unparsed, counted, never filled in. Other text in the confidence column counts as unparsed too and
is reported. A missing or unknown grade is an error, because leaving it out would change the
accuracy. Rows are counted from 1, without the header and without blank rows. The scale is found
from the values (:mod:`workbench.measure.table_file.scales`), always reported, and can be given
instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.table_file.scales import Stated, check_scale, found_scale, said
from workbench.tables.parquet import shortest

_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "<na>", "-"})
_GRADES = {
    **dict.fromkeys(("true", "yes", "correct", "right", "t", "y"), True),
    **dict.fromkeys(("false", "no", "incorrect", "wrong", "f", "n"), False),
}
_WHOLE = re.compile(r"-?\d+(\.0+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


@dataclass(frozen=True)
class Confidences:
    """The confidences of a file: ``values`` [n] on 0-1 with NaN = unparsed, the ``scale``'s largest
    value in the file, and notes on how they were read.
    """

    values: Floats
    scale: float
    notes: tuple[str, ...]


def confidences(
    column: pd.Series,
    name: str,
    scale: float | None,
    *,
    group: np.ndarray | None = None,
    higher_is_less_sure: bool = False,
) -> Confidences:
    """Parse confidences from the file's ``column``; ``scale`` is the largest value of its scale,
    None to find it from the values.

    ``group`` [n] holds each row's group: every group must be on the same scale. Where
    ``higher_is_less_sure``, the column holds uncertainties u, and a confidence is 1 - u / scale.

    Raises:
        WorkbenchError: for a value outside the scale, an infinite one, or a mixture of scales.
    """
    check_scale(scale)
    numbers = _numbers(column, name)
    infinite = np.isinf(numbers.plain) | np.isinf(numbers.percent)
    if infinite.any():
        raise WorkbenchError(
            f"column {name!r}, row {_first(infinite)}: the confidence is infinite."
        )
    codes, groups = (
        (np.zeros(len(column), np.int64), np.array(["all"]))
        if group is None
        else pd.factorize(group)
    )
    stated = Stated(
        name, numbers.plain, numbers.percent, np.asarray(codes, np.int64), tuple(map(str, groups))
    )
    found, notes = (scale, ()) if scale is not None else found_scale(stated)
    _check_range(numbers.plain, name, found, "")
    _check_range(numbers.percent, name, 100.0, "%")
    told = [*said(stated, found, scale is not None), *notes, *numbers.notes]
    values = np.where(np.isnan(numbers.percent), numbers.plain / found, numbers.percent / 100)
    if higher_is_less_sure:
        values = 1 - values
        told.append(
            f"column {name!r} is higher where less sure: confidence = 1 - value / {found:g}."
        )
    return Confidences(values, found, tuple(told))


def grades(column: pd.Series, name: str) -> Bools:
    """Parse right or wrong [n] from the file's ``column``.

    Raises:
        WorkbenchError: for a grade that is neither; it names the first row.
    """
    codes, kinds = _kinds(column, name)
    meaning = [None if _missing(kind) else _grade(kind) for kind in kinds]
    for code, (kind, grade) in enumerate(zip(kinds, meaning, strict=True)):
        if grade is None:
            row = _first(codes == code)
            what = (
                "is missing"
                if _missing(kind)
                else f"is {str(kind)[:40]!r}, neither right (1) nor wrong (0)"
            )
            raise WorkbenchError(
                f"column {name!r}, row {row}: the grade {what} ({int((codes == code).sum())} "
                "such); "
                "grade every answer as 1 or 0 first, or leave its row out."
            )
    return np.array(meaning, dtype=np.bool_)[codes]


def texts(column: pd.Series, name: str) -> np.ndarray:
    """Return the labels [n] as text, "(missing)" where there is none.

    Whole numbers have no decimal point, however the file wrote them: in a column of whole numbers
    only, "1.0" is "1".
    """
    codes, kinds = _kinds(column, name)
    labels = ["(missing)" if _empty(kind) else _label(kind) for kind in kinds]
    filled = [label for label, kind in zip(labels, kinds, strict=True) if not _empty(kind)]
    if any(label.endswith(".0") for label in filled) and all(
        _WHOLE.fullmatch(label) for label in filled
    ):
        labels = [label.split(".")[0] for label in labels]
    return np.array(labels, dtype=object)[codes]


def identifiers(column: pd.Series, name: str) -> tuple[np.ndarray, int]:
    """Return the labels of questions [n] as :func:`texts` gives them, and how many rows have none;
    each of those is a separate question.
    """
    labels = texts(column, name)
    rows = np.flatnonzero(column.isna().to_numpy() | (labels == "(missing)"))
    labels[rows] = [f"(no id, row {row + 1})" for row in rows]
    return labels, len(rows)


@dataclass(frozen=True)
class _Numbers:
    plain: Floats
    percent: Floats
    notes: tuple[str, ...]


def _numbers(column: pd.Series, name: str) -> _Numbers:
    """Return the numbers [n] without and with a per cent sign, and notes on text that is no number.

    Raises:
        WorkbenchError: for complex numbers, and a column without any number.
    """
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if pd.api.types.is_complex_dtype(column):
            raise WorkbenchError(
                f"column {name!r} holds complex numbers; a confidence is one number."
            )
        values = column.to_numpy()
        values = (
            shortest(values)
            if values.dtype.kind == "f"
            else column.to_numpy(dtype=np.float64, na_value=np.nan)
        )
        return _Numbers(values, np.full(len(values), np.nan), ())
    codes, kinds = _kinds(column, name)
    found = [_number(kind) for kind in kinds]
    values = np.array([value for value, _ in found], dtype=np.float64)
    signed = np.array([sign for _, sign in found], dtype=np.bool_)
    lost = np.array(
        [np.isnan(value) and not _missing(kind) for value, kind in zip(values, kinds, strict=True)],
        np.bool_,
    )
    notes = []
    if lost.any():
        shown = str(kinds[int(np.argmax(lost))])[:40]
        if np.isnan(values).all():
            raise WorkbenchError(
                f"column {name!r} holds no number at all, only text such as {shown!r}; write "
                "confidences as numbers, or name another "
                "column with --confidence."
            )
        notes.append(
            f"{int(lost[codes].sum()):,} replies in column {name!r} hold text, not a number (such "
            f"as {shown!r}): unparsed."
        )
    commas = [
        kind
        for kind, value in zip(kinds, values, strict=True)
        if "," in str(kind) and not np.isnan(value)
    ]
    if commas:
        notes.append(
            f"column {name!r} is written with decimal commas (such as {str(commas[0])!r})."
        )
    plain, percent = np.where(signed, np.nan, values), np.where(signed, values, np.nan)
    return _Numbers(plain[codes], percent[codes], tuple(notes))


def _kinds(column: pd.Series, name: str) -> tuple[np.ndarray, list[object]]:
    """Return the distinct values of ``column`` and which of them each row holds [n]: text is
    interpreted once per kind.

    Raises:
        WorkbenchError: for a column of lists or objects.
    """
    if column.dtype.kind == "f":
        column = pd.Series(shortest(column.to_numpy()))
    try:
        codes, kinds = pd.factorize(column, use_na_sentinel=False)
    except TypeError as error:
        raise WorkbenchError(
            f"column {name!r} holds lists or objects; write one plain value a row."
        ) from error
    return codes, list(kinds)


def _number(kind: object) -> tuple[float, bool]:
    """Return the number in a cell, NaN if there is none, and whether a per cent sign follows it."""
    if isinstance(kind, bool | np.bool_ | list | dict | bytes) or kind is None:
        return float("nan"), False
    text = str(kind).strip().replace("％", "%")
    signed = text.endswith("%")
    text = text.removesuffix("%").strip()
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return (float(text) if "_" not in text else float("nan")), signed
    except ValueError:
        return float("nan"), False


def _grade(kind: object) -> bool | None:
    text = str(kind).strip().lower()
    if text in _GRADES:
        return _GRADES[text]
    try:
        return {1.0: True, 0.0: False}.get(float(text)) if "_" not in text else None
    except ValueError:
        return None


def _check_range(values: Floats, name: str, scale: float, sign: str) -> None:
    outside = (values < 0) | (values > scale)
    if outside.any():
        row = _first(outside)
        raise WorkbenchError(
            f"column {name!r}, row {row}: the confidence {values[row - 1]:g}{sign} lies outside "
            f"0-{scale:g} "
            f"({int(outside.sum())} such); mend the rows or give the scale's largest value with "
            "--scale."
        )


def _missing(kind: object) -> bool:
    return _empty(kind) or str(kind).strip().lower() in _MISSING


def _empty(kind: object) -> bool:
    return (
        kind is None
        or kind is pd.NA
        or kind is pd.NaT
        or (isinstance(kind, float) and np.isnan(kind))
        or kind == ""
    )


def _label(kind: object) -> str:
    return str(int(kind)) if isinstance(kind, float) and kind.is_integer() else str(kind)


def _first(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask)) + 1
