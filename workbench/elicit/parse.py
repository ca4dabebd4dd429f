"""Parse a stated confidence strictly.

A reply counts only if it begins with what the scale asks for; anything else is a format failure and
becomes NaN: it is counted and shown, never guessed at.

A number, optionally with decimals, must lie on the scale and be followed by the end of the reply,
white space or sentence punctuation that no digit follows ("0,95" and "95.5/100" do not count). On a
percent scale a percent sign may follow too, and a number with decimals that is not above 1 needs
one ("0.85" is a share of 1 rather than less than one per cent); on every other scale a percent sign
is a failure. A range ("0.0 to 1.0", "80 - 90%") is a failure on all: it repeats what was asked, or
states two numbers.

One of the scale's texts, in a bracket or not, its case ignored unless it is a single letter, must
be followed by the end of the reply, a line break or sentence punctuation, after a phrase of several
words also by white space: "very certain that" states something, "No one" and "A guess" do not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache

from workbench.elicit.scales import Scale

_ENDS = r"$|(?=\s|[.,;:!)](?!\d))"
_RANGE = r"(?!\.?\s*%?\s*(?:(?:up\s+)?to\b|through\b|(?:[-\u2010-\u2015\u2212~/]|or\b|and\b)\s*\d))"
_PERCENT = re.compile(rf"\s*(?P<number>\d{{1,3}}(?:\.\d+)?)\.?\s*(?:(?P<sign>%)|{_ENDS}){_RANGE}")
_NUMBER = re.compile(rf"\s*(?P<number>\d{{1,3}}(?:\.\d+)?)\.?(?:{_ENDS})(?!\.?\s*%){_RANGE}")
_CLOSED = r"[^\S\n]*(?:$|[\n.,;:!?)(])"


def parse_confidence(text: str, scale: Scale) -> float:
    """Parse the stated confidence as a share of certainty in [0, 1]; NaN if the text does not state
    one.
    """
    return _READERS[scale.reader](text, scale)


def _percent(text: str, scale: Scale) -> float:
    match = _PERCENT.match(text)
    if (
        match is not None
        and match["sign"] is None
        and "." in match["number"]
        and float(match["number"]) <= 1
    ):
        return math.nan
    return _number(match, scale)


def _plain_number(text: str, scale: Scale) -> float:
    return _number(_NUMBER.match(text), scale)


def _number(match: re.Match[str] | None, scale: Scale) -> float:
    value = math.nan if match is None else float(match["number"])
    return value / scale.certain if scale.values[0] <= value <= scale.certain else math.nan


def _words(text: str, scale: Scale) -> float:
    for pattern, share in _patterns(scale):
        if pattern.match(text):
            return share
    return math.nan


@lru_cache(maxsize=32)
def _patterns(scale: Scale) -> tuple[tuple[re.Pattern[str], float], ...]:
    """Return a pattern and a share for each text, the longest text first, so that a phrase is not
    read as the shorter one it begins with.
    """
    pairs = sorted(zip(scale.texts, scale.shares, strict=True), key=lambda pair: -len(pair[0]))
    return tuple((_pattern(text), share) for text, share in pairs)


def _pattern(text: str) -> re.Pattern[str]:
    words = r"\s+".join(map(re.escape, text.split()))
    ends = rf"(?:\s|{_CLOSED})" if len(text.split()) > 1 else _CLOSED
    return re.compile(rf"\s*\(?{words}{ends}", re.NOFLAG if len(text) == 1 else re.IGNORECASE)


_READERS: dict[str, Callable[[str, Scale], float]] = {
    "percent": _percent,
    "number": _plain_number,
    "words": _words,
}
