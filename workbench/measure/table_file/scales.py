"""Find the scale confidences were stated on: one rule for every column, applied to each group, and
groups must agree.

A value with a per cent sign says its scale itself. The others of a group are on 0-1 if none exceeds
1, and on 0-100 otherwise. More than 2 % of them strictly between 0 and 1, together with values
above 1, are two scales in one column, which is an error. So are groups that come out differently
and a column that is called percent, or whose cells carry the sign, without a value above 1. A given
scale decides all of this. The values cannot show that 0-10 was meant, so a note says where no value
exceeds 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError

NOTICEABLE = 0.02
MOST_SCALE = 1e6
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Stated:
    """The numbers of a column [n] as they were written: ``plain`` and, with their sign,
    ``percent``; NaN where the other is or none.

    ``codes`` [n] and ``groups`` say which group each row belongs to.
    """

    column: str
    plain: Floats
    percent: Floats
    codes: NDArray[np.int64]
    groups: tuple[str, ...]

    @property
    def called_percent(self) -> bool:
        """Whether the column's name mentions per cent."""
        name = self.column.lower()
        return "percent" in name or "%" in name or name.endswith("pct")


def check_scale(scale: float | None) -> None:
    """Refuse a largest value that no scale of confidence has.

    Raises:
        WorkbenchError: for such a value.
    """
    if scale is not None and not 0 < scale <= MOST_SCALE:
        raise WorkbenchError(
            f"the largest value of a confidence scale is above 0 and at most {MOST_SCALE:,.0f}, "
            f"for example 1 or 100; got {scale:g}"
        )


def found_scale(stated: Stated) -> tuple[float, tuple[str, ...]]:
    """Find the largest value of the scale from the values; return it with notes on it.

    Raises:
        WorkbenchError: where the values do not agree on one scale.
    """
    plain, name = stated.plain, stated.column
    _check_percent(stated)
    known = ~np.isnan(plain)
    if not known.any():
        return (100.0 if stated.called_percent or not np.isnan(stated.percent).all() else 1.0), ()
    inside = known & (plain > 0) & (plain < 1)
    above = known & (plain > 1)
    count, within, beyond = (_by_group(mask, stated) for mask in (known, inside, above))
    mixed = (beyond > 0) & (within > NOTICEABLE * count)
    if mixed.any():
        raise _mixed(stated, int(np.argmax(mixed)), inside, above)
    filled = _by_group(known & (plain > 0), stated) > 0
    if (beyond > 0).any() and (filled & (beyond == 0)).any():
        low, high = int(np.argmax(filled & (beyond == 0))), int(np.argmax(beyond > 0))
        raise WorkbenchError(
            f"column {name!r} is on 0-1 in group {stated.groups[low]!r} (largest value "
            f"{_largest(stated, low):g}) and on 0-100 in group "
            f"{stated.groups[high]!r} (largest value {_largest(stated, high):g}); mend the rows, "
            "measure the groups apart, or give the "
            "scale's largest value with --scale."
        )
    if not (beyond > 0).any():
        return 1.0, ()
    notes = []
    if inside.any():
        notes.append(
            f"{int(inside.sum()):,} values of column {name!r} lie between 0 and 1 (the first in "
            f"row {_first(inside)}) and are read "
            "as less than 1 %."
        )
    return 100.0, tuple(notes)


def said(stated: Stated, scale: float, given: bool) -> tuple[str, ...]:
    """Return notes on how the column is read, and on the values of each group that show this."""
    lowest, highest = _ranges(stated)
    top = np.nanmax(stated.plain, initial=-np.inf)
    what = f"column {stated.column!r} is read as 0-{scale:g}"
    if given:
        what += ", as given"
    elif scale == 100 and 1 < top <= 10:
        what += f" although no value exceeds {top:g}; a 0-10 scale needs --scale 10"
    notes = [f"{what}."]
    if len(stated.groups) > 1:
        ranges = [
            f"{group} {low:g} to {high:g}" if not np.isnan(low) else f"{group} no numbers"
            for group, low, high in zip(stated.groups, lowest, highest, strict=True)
        ]
        more = (
            f"; and {len(ranges) - _MOST_SHOWN:,} groups more" if len(ranges) > _MOST_SHOWN else ""
        )
        notes.append(f"read in each group: {'; '.join(ranges[:_MOST_SHOWN])}{more}.")
        few = [group for group, high in zip(stated.groups, highest, strict=True) if 1 < high <= 10]
        if not given and scale == 100 and few and top > 10:
            notes.append(
                f"no value exceeds 10 in {_listed(few)}: was another scale meant there? It is read "
                "as 0-100 too."
            )
    return tuple(notes)


def _check_percent(stated: Stated) -> None:
    for values, told in (
        (stated.percent, "holds per cent signs"),
        (stated.plain, "is called percent"),
    ):
        known = values[~np.isnan(values)]
        if values is stated.plain and not stated.called_percent:
            continue
        if len(known) and 0 < known.max() <= 1:
            raise WorkbenchError(
                f"column {stated.column!r} {told} and its largest value is {known.max():g}; if its "
                "values are on 0-1, say so with "
                "--scale 1 (and without the signs), if they are per cent with --scale 100."
            )


def _mixed(
    stated: Stated, group: int, inside: NDArray[np.bool_], above: NDArray[np.bool_]
) -> WorkbenchError:
    here = stated.codes == group
    inside, above = inside & here, above & here
    few, many = (above, "between 0 and 1") if above.sum() < inside.sum() else (inside, "above 1")
    row = _first(few)
    where = f" in group {stated.groups[group]!r}" if len(stated.groups) > 1 else ""
    return WorkbenchError(
        f"column {stated.column!r} mixes 0-1 and 0-100{where}: most values lie {many}, row {row} "
        f"holds {stated.plain[row - 1]:g} "
        f"({int(few.sum()):,} such); mend the rows or give the scale's largest value with --scale."
    )


def _by_group(mask: NDArray[np.bool_], stated: Stated) -> NDArray[np.int64]:
    return np.bincount(stated.codes[mask], minlength=len(stated.groups)).astype(np.int64)


def _ranges(stated: Stated) -> tuple[Floats, Floats]:
    """Return the smallest and largest number of each group, as written; NaN where a group
    has none.
    """
    values = np.fmax(stated.plain, stated.percent)
    low, high = np.full(len(stated.groups), np.inf), np.full(len(stated.groups), -np.inf)
    known = ~np.isnan(values)
    np.minimum.at(low, stated.codes[known], values[known])
    np.maximum.at(high, stated.codes[known], values[known])
    empty = low > high
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def _largest(stated: Stated, group: int) -> float:
    return float(np.nanmax(stated.plain[stated.codes == group]))


def _listed(groups: list[str]) -> str:
    shown = ", ".join(repr(group) for group in groups[:_MOST_SHOWN])
    return (
        shown if len(groups) <= _MOST_SHOWN else f"{shown} and {len(groups) - _MOST_SHOWN:,} more"
    )


def _first(mask: NDArray[np.bool_]) -> int:
    return int(np.argmax(mask)) + 1
