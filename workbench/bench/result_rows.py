"""Write measured values in words: the rows of a measurement's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """A line of the table: a key of the result in words, with its bound and on which side of it the
    value must be.
    """

    key: str
    words: str
    bound: float | None = None
    at_most: bool = True

    def met(self, value: float) -> str:
        if self.bound is None:
            return ""
        met = value <= self.bound if self.at_most else value >= self.bound
        return f"{'<=' if self.at_most else '>='} {self.bound:g}: {'met' if met else 'missed'}"


def spread_of(key: str, values: Mapping[str, Any]) -> str:
    """Return the smallest and the largest of a ratio's turns as text; empty where it has none."""
    return (
        f"{values[f'{key}.low']:.3g} to {values[f'{key}.high']:.3g}"
        if f"{key}.low" in values
        else ""
    )


def mebibytes(value: int | None) -> str:
    return "not measured on this device" if value is None else f"{value / 2**20:.1f} MiB"
