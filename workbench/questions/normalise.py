"""Text to tokens that can be compared: words without case and accents, numbers as numbers.

Method: NFKD, combining marks dropped, letters without decomposition (ø, ł, ß ...) spelt out, punctuation to spaces. A token
is a word (compared by its case-folded form; its own spelling is kept for the case-sensitive rules) or a number (compared by
value: ``1,000`` = ``1000.0`` = ``one thousand``; ``1/2`` = ``0.5``). A minus sign belongs to a number when it touches its
digits and follows a space, an opening bracket, ``=``, ``:`` or the start, so ``10-12`` holds 10 and 12. Ordinals and
decades (``3rd``, ``1990s``) and digits after letters (``H2O``) are words; ``5kg`` is the number 5 and the word kg.

What this does not show: ``1.000`` is read as one (English separators); scripts without spaces are one token a run.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_SPELLED = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i",
     "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ß": "ss", "ẞ": "SS", "−": "-", "–": "-", "—": "-", "⁄": "/"}
)  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<number>
          (?:(?<![^\s(\[{=:$€£])[-+])?                        # a sign that touches the digits
          (?:(?<!/)[0-9]+/[0-9]+(?![\w/])                           # fraction
            |[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?   # thousands
            |[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
          (?!(?:st|nd|rd|th|s)\b)(?![0-9])
        )|(?P<word>[^\W_]+)""",
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST_NUMBER = 60
_UNIT_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TENS_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_UNIT_WORDS.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TENS_WORDS.split(), start=2)}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_NOT_A_COUNT_AFTER = frozenset({"no", "any", "every", "some", "each", "which"})
_DOTTED = re.compile(r"\b[^\W\d_](?:\.[^\W\d_])+\b\.?")
_LETTER = re.compile(r"[\s(\[*\"']*([A-Za-z])[\s)\].:*\"']*")


@dataclass(frozen=True)
class Token:
    """``key`` is compared; ``spelling``, ``start`` and ``end`` (in the folded text) serve the case-sensitive rules."""

    key: str | Fraction
    spelling: str
    start: int
    end: int


def fold(text: str) -> str:
    """``text`` without accents, case kept. A superscript is set apart: ``10²`` must not become 102."""
    apart = "".join(f" {c}" if unicodedata.decomposition(c).startswith("<super>") else c for c in text)
    decomposed = unicodedata.normalize("NFKD", apart)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_SPELLED)


@lru_cache(maxsize=8192)
def tokens(text: str, join_initials: bool = False) -> tuple[Token, ...]:
    """Tokens of ``text``; ``join_initials`` reads ``U.S.A.`` as one word instead of three letters."""
    folded = fold(text)
    if join_initials:
        folded = _DOTTED.sub(lambda match: match.group().replace(".", ""), folded)
    found = []
    for match in _TOKEN.finditer(folded):
        spelling = match.group()
        starts_inside_word = match.start() > 0 and folded[match.start() - 1].isalnum()
        is_number = match.group("number") is not None and not starts_inside_word
        key = _number_key(spelling) if is_number else spelling.casefold()
        found.append(Token(key, spelling, match.start(), match.end()))
    return tuple(_spelled_numbers(found))


def keys(text: str) -> list[str | Fraction]:
    """The comparable forms of the tokens of ``text``, in order."""
    return [token.key for token in tokens(text)]


def numbers(text: str) -> list[Fraction]:
    """Every number in ``text``, in order."""
    return [token.key for token in tokens(text) if isinstance(token.key, Fraction)]


def number_of(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else but punctuation and signs of currency or per cent."""
    found = keys(text)
    return found[0] if len(found) == 1 and isinstance(found[0], Fraction) else None


def choice_letter(text: str) -> str | None:
    """The upper-case letter of a text that is one letter and nothing else but brackets and punctuation."""
    match = _LETTER.fullmatch(text)
    return match.group(1).upper() if match else None


def question_key(text: str) -> str:
    """What makes two questions the same: case, accents, spacing and sentence marks aside; ``7 + 5`` is not ``7 - 5``."""
    marks = re.sub(r"(?<![0-9])[.,]|[.,](?![0-9])|[;:!?\"'()\[\]{}“”‘’«»`_]", " ", fold(text).casefold())
    return " ".join(marks.split()) or " ".join(text.split())


def _number_key(spelling: str) -> str | Fraction:
    digits = spelling.replace(",", "").lstrip("+")
    # int() refuses very long digit strings and a zero denominator has no value: both compare as text.
    if len(digits) > _LONGEST_NUMBER or re.search(r"/0+$", digits):
        return digits
    return Fraction(digits)


def _spelled_numbers(found: list[Token]) -> list[Token]:
    """Replace each run of number words by one number token."""
    result: list[Token] = []
    index = 0
    while index < len(found):
        value, used = _read_number_words(found, index)
        if used:
            first, last = found[index], found[index + used - 1]
            result.append(
                Token(Fraction(value), " ".join(t.spelling for t in found[index : index + used]), first.start, last.end)
            )
            index += used
        else:
            result.append(found[index])
            index += 1
    return result


def _read_number_words(found: list[Token], start: int) -> tuple[int, int]:
    """(value, tokens used) of the English number that starts at ``start``; (0, 0) when none does."""
    if _is_pronoun(found, start):
        return 0, 0
    total, index = 0, start
    smallest_scale = 10**12
    while True:
        group, used = _below_thousand(found, index)
        if not used:
            break
        after = index + used
        scale = _SCALES.get(_word(found, after), 1)
        if scale >= smallest_scale:
            break
        total, smallest_scale, index = total + group * scale, scale, after + (scale > 1)
        if scale == 1:
            break
        if _word(found, index) == "and" and _below_thousand(found, index + 1)[1]:
            index += 1
    return total, index - start


def _below_thousand(found: list[Token], start: int) -> tuple[int, int]:
    value, used = _below_hundred(found, start)
    head, head_used = (value, used) if used else (1, 0)
    if _word(found, start + head_used) != "hundred" or not 0 < head < 10:
        return value, used
    used = head_used + 1
    gap = 1 if _word(found, start + used) == "and" else 0
    rest, rest_used = _below_hundred(found, start + used + gap)
    return (head * 100 + rest, used + gap + rest_used) if rest_used and rest else (head * 100, used)


def _below_hundred(found: list[Token], start: int) -> tuple[int, int]:
    word, following = _word(found, start), _word(found, start + 1)
    if word in _TENS:
        unit = _UNITS.get(following, 0)
        return (_TENS[word] + unit, 2) if 0 < unit < 10 else (_TENS[word], 1)
    return (_UNITS[word], 1) if word in _UNITS else (0, 0)


def _word(found: list[Token], index: int) -> str:
    key = found[index].key if 0 <= index < len(found) else ""
    return key if isinstance(key, str) else ""


def _is_pronoun(found: list[Token], index: int) -> bool:
    if _word(found, index) != "one":
        return False
    return _word(found, index - 1) in _NOT_A_COUNT_AFTER or _word(found, index + 1) == "of"
