"""Turn text into tokens that can be compared, and into the key that decides splits.

A token is a word, compared by its case-folded form (its spelling is kept for the case-sensitive
rules), or a number, compared by value: ``1,000`` = ``1000.0`` = ``one thousand``; ``1/2`` =
``0.5``. :mod:`workbench.questions.numerals` and :mod:`workbench.questions.number_words` say how
numbers are read, and which letters or marks are the same is in :mod:`workbench.questions.clean`.
Symbols that end a name belong to it: ``C++``, ``C#``, ``Na+``, ``O-``. An exponent belongs to the
unit or letter before it.

Two texts are compared in up to three ways: as they are, with initials such as ``U.S.A.`` as one
word, and with the marks inside words left out and ``&`` read as "and" (``AC/DC`` = ``ACDC``,
``Levi's`` = ``Levis``).

What this does not show: ``1.000`` is read as one (English separators) and may be a thousand;
scripts without spaces are one token a run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from workbench.questions.clean import SPELLED, clean
from workbench.questions.number_words import Token, with_number_words
from workbench.questions.numeral import Numeral
from workbench.questions.numerals import CURRENCY, NUMERAL, ORDINAL, ordinal, read_numeral

Way = Literal["plain", "initials", "joined"]
WAYS: tuple[Way, ...] = ("plain", "initials", "joined")
_SCAN = re.compile(
    rf"""{ORDINAL}|{NUMERAL}
    |(?P<word>[^\W_]+(?:\^\(?[-+]?[0-9]+\)?|[+#]{{1,2}}(?![^\W_+#]))?)""",
    re.VERBOSE,
)
_CHARGED = re.compile("[A-Z][A-Za-z0-9]{0,3}")
_CHARGE = re.compile(r"-(?![^\W_-])")
_UNIT_POWER = re.compile(r"-[1-4](?![\w]|[.,][0-9])")
_UNIT_GAP = re.compile(r"[\s*/.·]{0,2}")
_LONGEST_UNIT = 3
_NO_UNITS = frozenset({"am", "pm", "to", "or", "and", "by", "vs", "a"})
_DOTTED = re.compile(r"(?<![^\W_])[^\W\d_](?:\.[^\W\d_])+(?![^\W_])\.?")
_JOINED = re.compile(r"(?<=[^\W\d_])['\-./·](?=[^\W\d_])")
_AND = re.compile(r"\s*&\s*")
_LETTER = re.compile(r"[\s(\[*\"'_`=$]*([A-Za-z])[\s)\].:*\"'_`,;!$]*")
_OLD_MARKS = str.maketrans({**SPELLED, "−": "-", "–": "-", "—": "-", "⁄": "/"})


def fold(text: str) -> str:
    """Return ``text`` without accents, case kept, from which :func:`question_key` is made.
    Superscripts are set apart.
    """
    apart = "".join(
        f" {c}" if unicodedata.decomposition(c).startswith("<super>") else c for c in text
    )
    decomposed = unicodedata.normalize("NFKD", apart)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).translate(_OLD_MARKS)


@lru_cache(maxsize=1024)
def written(text: str, way: Way = "plain") -> str:
    """Return the cleaned text whose tokens :func:`tokens` gives for the same ``way``. The tokens'
    places refer to it.
    """
    cleaned = clean(text)
    if way == "initials":
        return _DOTTED.sub(lambda match: match.group().replace(".", ""), cleaned)
    return _JOINED.sub("", _AND.sub(" and ", cleaned)) if way == "joined" else cleaned


def tokens(text: str, way: Way = "plain") -> tuple[Token, ...]:
    """Return the tokens of ``text``, compared in one of the three ways."""
    return _tokens_of(written(text, way))


@lru_cache(maxsize=4096)
def _tokens_of(cleaned: str) -> tuple[Token, ...]:
    return tuple(with_number_words(cleaned, list(_scanned(cleaned))))


def _scanned(text: str) -> Iterator[Token]:
    position, unit_open, end = 0, False, 0
    while (match := _SCAN.search(text, position)) is not None:
        position = match.end()
        if match.lastgroup == "word" or match.group("word") is not None:
            spelling = match.group("word")
            near = (
                end > 0
                and match.start() - end <= 2
                and _UNIT_GAP.fullmatch(text, end, match.start()) is not None
            )
            unit_open = (
                unit_open and near and len(spelling) <= _LONGEST_UNIT and spelling not in _NO_UNITS
            )
            if unit_open and (power := _UNIT_POWER.match(text, position)) is not None:
                position = power.end()
                spelling += power.group()
            elif (
                _CHARGED.fullmatch(spelling)
                and (charge := _CHARGE.match(text, position)) is not None
            ):
                position = charge.end()
                spelling += "-"
            yield Token(spelling.casefold().replace("^", ""), spelling, match.start(), position)
        elif match.group("ordinal") is not None:
            spelling = match.group("ordinal")
            yield Token(
                spelling.casefold(), spelling, *match.span(), ordinal(spelling).others, weak=True
            )
            unit_open = False
        else:
            for numeral, start, stop in read_numeral(match):
                yield _number_token(text[start:stop], numeral, start, stop)
            unit_open = True
        end = position


def _number_token(spelling: str, numeral: Numeral, start: int, end: int) -> Token:
    if numeral.value is not None:
        return Token(numeral.value, spelling, start, end, numeral.others)
    return Token(
        spelling.casefold().replace(",", "").lstrip("+"), spelling, start, end, numeral.others
    )


def places(text: str, way: Way = "plain") -> Mapping[str | Fraction, Sequence[int]]:
    """Return the indices of each key among the tokens of ``text``."""
    return _places_in(written(text, way))


@lru_cache(maxsize=1024)
def _places_in(cleaned: str) -> Mapping[str | Fraction, Sequence[int]]:
    found: dict[str | Fraction, list[int]] = {}
    for index, token in enumerate(_tokens_of(cleaned)):
        found.setdefault(token.key, []).append(index)
    return found


def keys(text: str) -> list[str | Fraction]:
    """Return the comparable forms of the tokens of ``text``, in order."""
    return [token.key for token in tokens(text)]


def numbers(text: str) -> list[Fraction]:
    """Return every number in ``text`` that can be read with certainty, in order."""
    return [token.key for token in tokens(text) if isinstance(token.key, Fraction)]


def numeral_of(text: str) -> Numeral | None:
    """Return the number of a text that is one number and nothing else but punctuation and signs of
    currency or per cent.
    """
    found = tokens(text)
    if len(found) != 1 or not isinstance(found[0].key, Fraction):
        return None
    cleaned = written(text)
    around = cleaned[: found[0].start] + cleaned[found[0].end :]
    return found[0].numeral if not around.strip(f" \t\n.,;:?'\"()[]*=%‰°~<>{CURRENCY}") else None


def number_of(text: str) -> Fraction | None:
    """Return the value of a text that is one number; None where it is none, or not with
    certainty.
    """
    numeral = numeral_of(text)
    return None if numeral is None else numeral.value


def choice_letter(text: str) -> str | None:
    """Return the upper-case letter of a text that is one letter and nothing else but brackets and
    punctuation.
    """
    match = _LETTER.fullmatch(clean(text))
    return match.group(1).upper() if match else None


def question_key(text: str) -> str:
    """Return the key by which two questions are the same for a split, ignoring case, accents,
    spacing and sentence marks; ``7 + 5`` is not ``7 - 5``.

    To decide whether two texts are the same text, compare them stripped: symbols that this leaves
    out may tell them apart.
    """
    marks = re.sub(
        r"(?<![0-9])[.,]|[.,](?![0-9])|[;:!?\"'()\[\]{}“”‘’«»`_]", " ", fold(text).casefold()
    )
    return " ".join(marks.split()) or " ".join(text.split())
