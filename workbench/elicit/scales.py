"""Define the scales of stated confidence: each is one row of texts and what they are worth.

``values[i] / certain`` is the probability of being right that ``texts[i]`` states, a number in [0,
1]. Numbers, words, option letters and yes/no differ in nothing else: the number trie is built over
the texts, the expected confidence is the mean of the values weighed by the texts' probabilities,
and a target is spread over the values.

A scale does not show whether a model uses it as meant. A value between two texts ("0.85" where the
scale has "0.8") counts in the trie as the text it begins with, and in the generated text as it is
written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.errors import WorkbenchError

Reader = Literal["percent", "number", "words"]
"""The way a generated text is read: as a number that may end in a percent sign, a number, or one of
the scale's texts.
"""


@dataclass(frozen=True)
class Scale:
    """A confidence scale: its texts and the value of each.

    Attributes:
        values: what each text is worth, ascending.
        certain: the value that means certainty.
        texts: how each value is written; whole numbers and decimals as Python writes them if not
            given.
        reader: how generated text is read.
    """

    values: tuple[float, ...]
    certain: float
    texts: tuple[str, ...] = ()
    reader: Reader = "number"

    def __post_init__(self) -> None:
        if not self.texts:
            object.__setattr__(self, "texts", tuple(str(value) for value in self.values))
        if (
            not self.values
            or list(self.values) != sorted(set(self.values))
            or self.certain < self.values[-1]
        ):
            raise WorkbenchError(
                "A scale's values must ascend, and none may exceed the value that means certainty."
            )
        if self.values[0] < 0 or not self.certain > 0:
            raise WorkbenchError(
                "A scale's values must not be negative, and certainty must be a positive value."
            )
        if len(self.texts) != len(self.values) or len(set(self.texts)) < len(self.texts):
            raise WorkbenchError("A scale needs one text a value, no two the same.")
        if any(text != text.strip() or not text for text in self.texts):
            raise WorkbenchError(
                "A scale's texts must not be empty or begin or end in white space."
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of certainty that each text states."""
        return tuple(value / self.certain for value in self.values)

    def text(self, value: float) -> str:
        """Return the text of ``value``.

        Raises:
            WorkbenchError: for a value outside the scale.
        """
        if value not in self.values:
            raise WorkbenchError(
                f"{value} is no value of the scale, which has {self.texts[0]} to {self.texts[-1]}."
            )
        return self.texts[self.values.index(value)]


def _decimals(places: int) -> Scale:
    values = tuple(step / 10**places for step in range(10**places + 1))
    return Scale(values, 1, tuple(f"{value:.{places}f}" for value in values))


def _words(*ascending: str) -> Scale:
    """Return the scale of words from impossible to certain, with values equally far apart."""
    return Scale(tuple(range(len(ascending))), len(ascending) - 1, ascending, "words")


PERCENT = Scale(values=tuple(range(101)), certain=100, reader="percent")
HUNDRED = Scale(values=tuple(range(1, 101)), certain=100)
DIGIT = Scale(values=tuple(range(10)), certain=9)
TEN = Scale(values=tuple(range(11)), certain=10)
TENTHS = _decimals(1)
HUNDREDTHS = _decimals(2)
CERTAINTY = _words(
    "Very uncertain",
    "Not certain",
    "Somewhat certain",
    "Moderately certain",
    "Fairly certain",
    "Very certain",
)
CERTAINTY_LETTERS = _words(*"FEDCBA")
YES_NO = _words("No", "Yes")
ROMAN = _words("i", "ii")
WHICH = _words("Q2", "Q1")
ANSWER_OR_PASS = _words("Pass", "Answer")
ANSWER_OR_EXPERT = _words("Expert", "Myself")
