"""Read numbers written in English words, and words after digits that scale them.

``twenty-one``, ``two hundred and five``, ``a thousand``, ``two million three hundred``, ``2
million``, ``two and a half``, ``half a million``, ``three quarters``, ``three point one four``,
``minus five``. Words are one number only with nothing but spaces, hyphens and emphasis between
them. ``half`` and ``a third`` alone keep their words and only may be numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from workbench.questions.numeral import Numeral
from workbench.questions.numerals import CURRENCY

_UNIT_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
UNITS = {word: value for value, word in enumerate(_UNIT_WORDS.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), start=2)}
SCALES = {
    "dozen": 12, "thousand": 1_000, "lakh": 10**5, "million": 10**6, "millions": 10**6, "crore": 10**7,
    "billion": 10**9, "billions": 10**9, "trillion": 10**12, "trillions": 10**12, "quadrillion": 10**15,
}  # fmt: skip
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_PLURAL_PARTS = {
    "halves": 2,
    **{f"{word}s": value for word, value in _PARTS.items() if word != "half"},
}
_NOT_A_COUNT_AFTER = frozenset(
    {"no", "any", "every", "some", "each", "which", "the", "this", "that", "another"}
)
_BEGINS = frozenset({*UNITS, *TENS, "half"})
_AFTER_ARTICLE = frozenset({*SCALES, "hundred"})
_GOES_ON = frozenset({*SCALES, *_PLURAL_PARTS, "hundred", "and", "point", *_PARTS})
_MINUS = frozenset({"minus", "negative"})
_SIGN_GAP = re.compile(rf"[\s*_]{{0,4}}(?:[A-Z]{{1,3}})?[{re.escape(CURRENCY)}]?\s?")
_GAP = re.compile(r"[\s\-*_\"'~]{0,6}")
_COMMA_GAP = re.compile(r"[\s\-*_\"'~]{0,3},?[\s\-*_\"'~]{0,3}")
_CLOSED = re.compile(r"[)\]}]\s*$")


@dataclass(frozen=True)
class Token:
    """A token. ``key`` is compared; ``spelling``, ``start`` and ``end`` (in the cleaned text) serve
    the case-sensitive rules.

    Attributes:
        key: a word, or the certain value of a number.
        others: the numbers that may be meant besides ``key``.
        weak: whether it is a number only where no other number is stated (``half``, ``3rd``).
    """

    key: str | Fraction
    spelling: str
    start: int
    end: int
    others: frozenset[Fraction] = frozenset()
    weak: bool = False

    @property
    def numeral(self) -> Numeral | None:
        """The number that the token is or may be; None for a word."""
        if isinstance(self.key, Fraction):
            return Numeral(self.key, self.others)
        return Numeral(None, self.others) if self.others else None


def with_number_words(text: str, found: Sequence[Token]) -> list[Token]:
    """Replace each run of number words in ``found``, the tokens of the cleaned ``text``, by one
    number token.
    """
    reader = _Reader(text, found)
    result: list[Token] = []
    index = 0
    while index < len(found):
        numeral, used = reader.number(index) if reader.may_begin(index) else (Numeral(None), 0)
        if used and numeral.value is not None:
            token = reader.joined(index, used, numeral)
            index += used
        else:
            token = found[index]
            if _is_part(token):
                token = replace(
                    token, others=frozenset({Fraction(1, _PARTS[str(token.key)])}), weak=True
                )
            index += 1
        result.append(reader.signed(result, token))
    return result


def _is_part(token: Token) -> bool:
    return isinstance(token.key, str) and token.key in _PARTS


@dataclass(frozen=True)
class _Reader:
    text: str
    found: Sequence[Token]

    def word(self, index: int) -> str:
        key = self.found[index].key if 0 <= index < len(self.found) else ""
        return key if isinstance(key, str) else ""

    def next_word(self, index: int, gap: re.Pattern[str] = _GAP) -> str:
        """Return the word at ``index`` if no mark separates it from the token before."""
        return self.word(index) if self.follows(index, gap) else ""

    def follows(self, index: int, gap: re.Pattern[str] = _GAP) -> bool:
        if not 0 < index < len(self.found):
            return False
        left, right = self.found[index - 1].end, self.found[index].start
        return right - left <= 6 and gap.fullmatch(self.text, left, right) is not None

    def joined(self, index: int, used: int, numeral: Numeral) -> Token:
        first, last = self.found[index], self.found[index + used - 1]
        spelling = " ".join(token.spelling for token in self.found[index : index + used])
        assert numeral.value is not None
        return Token(numeral.value, spelling, first.start, last.end, numeral.others)

    def may_begin(self, index: int) -> bool:
        """Return whether a number can start at ``index`` at all: a quick answer for most tokens."""
        key = self.found[index].key
        if key in ("a", "an"):
            return self.next_word(index + 1) in _AFTER_ARTICLE
        return key in _BEGINS if isinstance(key, str) else self.next_word(index + 1) in _GOES_ON

    def number(self, start: int) -> tuple[Numeral, int]:
        """Return the number that starts at ``start`` and the tokens it uses, 0 when none does."""
        if self.is_pronoun(start):
            return Numeral(None), 0
        if self.word(start) == "half" and self.next_word(start + 1) in ("a", "an"):
            scale = SCALES.get(self.next_word(start + 2), 0)
            return (Numeral(Fraction(scale, 2)), 3) if scale else (Numeral(None), 0)
        total, index, smallest = Numeral(Fraction(0)), start, 10**18
        while True:
            group, used = self.group(index, starts=index == start)
            if not used or group.value is None:
                break
            after, scale = index + used, 1
            while SCALES.get(self.next_word(after), 0):
                scale *= SCALES[self.next_word(after)]
                after += 1
            if scale >= smallest or (
                scale == 1 and self.found[index].numeral is not None and index > start
            ):
                break
            if index > start and scale == 1 and smallest == 1:
                break
            scaled = group.scaled(scale)
            assert total.value is not None
            assert scaled.value is not None
            joins = Numeral(
                total.value + scaled.value, scaled.others if index == start else frozenset()
            )
            total, smallest, index = joins, scale, after
            if scale == 1:
                break
            gap = _COMMA_GAP if scale > 1 else _GAP
            if self.next_word(index, gap) == "and" and self.group(index + 1, starts=False)[1]:
                index += 1
            elif not self.follows(index, gap):
                break
        used = index - start
        while used and self.word(start + used - 1) == "and":
            used -= 1
        return self.ended(start, total, used)

    def ended(self, start: int, total: Numeral, used: int) -> tuple[Numeral, int]:
        """Add a fraction in words after it: and a half, point five, two thirds."""
        value = total.value
        if not used or value is None:
            return total, used
        after = start + used
        if self.next_word(after) == "and" and self.next_word(after + 1) in ("a", "one"):
            part = _PARTS.get(self.next_word(after + 2), 0)
            if part:
                scale = SCALES.get(self.next_word(after + 3), 1)
                return Numeral((value + Fraction(1, part)) * scale), used + 3 + (scale > 1)
        if self.next_word(after) == "point" and self.next_word(after + 1) in UNITS:
            digits, count = "", 0
            while UNITS.get(self.next_word(after + 1 + count), 10) < 10 and count < 30:
                digits, count = digits + str(UNITS[self.next_word(after + 1 + count)]), count + 1
            if digits:
                scale = SCALES.get(self.next_word(after + 1 + count), 1)
                return Numeral((value + Fraction(f"0.{digits}")) * scale), used + 1 + count + (
                    scale > 1
                )
        parts = (
            {word: p for word, p in _PARTS.items() if value == 1} if value == 1 else _PLURAL_PARTS
        )
        part = parts.get(self.next_word(after), 0)
        if part and 0 < value < 20:
            return Numeral(value / part), used + 1
        return total, used

    def group(self, start: int, starts: bool) -> tuple[Numeral, int]:
        """Read a number below 1000 in words, ``a`` before a scale, or digits before one."""
        token = self.found[start] if start < len(self.found) else None
        if token is None:
            return Numeral(None), 0
        numeral = token.numeral
        if numeral is not None and not token.weak:
            scaled = self.next_word(start + 1) in SCALES or self.next_word(start + 1) == "hundred"
            fraction = starts and self.next_word(start + 1) in ("and", *_PLURAL_PARTS)
            if not (scaled or fraction):
                return Numeral(None), 0
            if self.next_word(start + 1) == "hundred":
                return numeral.scaled(100), 2
            return numeral, 1
        if token.key in ("a", "an") and starts:
            if self.next_word(start + 1) == "hundred":
                rest, used = self.rest_of_hundred(start + 2)
                return Numeral(Fraction(100 + rest)), 2 + used
            return (
                (Numeral(Fraction(1)), 1)
                if self.next_word(start + 1) in SCALES
                else (Numeral(None), 0)
            )
        value, used = self.below_thousand(start)
        return Numeral(Fraction(value)), used

    def below_thousand(self, start: int) -> tuple[int, int]:
        value, used = self.below_hundred(start)
        if not used or not 0 < value < 100 or self.next_word(start + used) != "hundred":
            return value, used
        rest, rest_used = self.rest_of_hundred(start + used + 1)
        return value * 100 + rest, used + 1 + rest_used

    def rest_of_hundred(self, start: int) -> tuple[int, int]:
        gap = 1 if self.next_word(start) == "and" else 0
        if not self.follows(start + gap):
            return 0, 0
        rest, used = self.below_hundred(start + gap)
        return (rest, used + gap) if used and rest else (0, 0)

    def below_hundred(self, start: int) -> tuple[int, int]:
        word = self.word(start)
        if word in TENS:
            unit = UNITS.get(self.next_word(start + 1), 0)
            return (TENS[word] + unit, 2) if 0 < unit < 10 else (TENS[word], 1)
        return (UNITS[word], 1) if word in UNITS else (0, 0)

    def is_pronoun(self, index: int) -> bool:
        if (
            self.word(index) != "one"
            or self.next_word(index + 1) in SCALES
            or self.next_word(index + 1) == "hundred"
        ):
            return False
        return self.word(index - 1) in _NOT_A_COUNT_AFTER or self.word(index + 1) == "of"

    def signed(self, before: list[Token], token: Token) -> Token:
        """Negate ``token`` after minus or negative, unless it is subtracted from something."""
        if not before or not isinstance(before[-1].key, str) or before[-1].key not in _MINUS:
            return token
        minus, numeral = before[-1], token.numeral
        if numeral is None or numeral.value is None:
            return token
        if (
            token.start - minus.end > 9
            or _SIGN_GAP.fullmatch(self.text, minus.end, token.start) is None
        ):
            return token
        left = before[-2] if len(before) > 1 else None
        near = left is not None and minus.start - left.end <= 2
        taken_from = (
            left is not None and near and (left.numeral is not None or len(left.spelling) == 1)
        )
        if taken_from or _CLOSED.search(self.text, max(0, minus.start - 4), minus.start):
            return token
        before.pop()
        negative = numeral.scaled(-1)
        assert negative.value is not None
        return Token(
            negative.value,
            f"{minus.spelling} {token.spelling}",
            minus.start,
            token.end,
            negative.others,
        )
