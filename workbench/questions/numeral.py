"""Hold a number as it is written: its certain value, and what else its writer may have meant.

Arithmetic on such a number is arithmetic on everything it may mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_MOST_POWER = 400


@dataclass(frozen=True)
class Numeral:
    """A number as it is written: its certain value or None, and what else may be meant."""

    value: Fraction | None
    others: frozenset[Fraction] = frozenset()

    @property
    def readings(self) -> frozenset[Fraction]:
        """All values that may be meant."""
        return self.others if self.value is None else self.others | {self.value}

    def scaled(self, factor: Fraction | int) -> Numeral:
        """Return this number of thousands, millions or halves."""
        value = None if self.value is None else self.value * factor
        return Numeral(value, frozenset(other * factor for other in self.others))


def _exponent(text: str) -> int:
    return int(text.strip(" ()"))


def times_power_of_ten(numeral: Numeral, exponent: str) -> Numeral:
    power = _exponent(exponent)
    return numeral.scaled(Fraction(10) ** power) if abs(power) <= _MOST_POWER else Numeral(None)


def raise_numeral(numeral: Numeral, exponent: str) -> Numeral:
    """Return the numeral for a number with a raised mark: a power, or the number with the mark of a
    footnote.
    """
    base, power = numeral.value, _exponent(exponent)
    if base is None or abs(power) * len(str(base)) > _MOST_POWER or (base == 0 and power < 0):
        return Numeral(None, numeral.readings)
    return Numeral(base**power, numeral.readings - {base**power})


def add_fraction(numeral: Numeral, text: str) -> Numeral:
    over, under = (int(part) for part in re.findall("[0-9]+", text))
    if numeral.value is None or not under:
        return Numeral(None, numeral.readings)
    part = Fraction(over, under)
    together = numeral.value + part
    if numeral.value.denominator > 1 or not 0 < part < 1 or text[0] == "-":
        return Numeral(None, frozenset({together, numeral.value, part, numeral.value - part}))
    return Numeral(together)


def either(numeral: Numeral, other: Numeral) -> Numeral:
    return Numeral(numeral.value, numeral.others | other.readings)
