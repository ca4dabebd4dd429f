"""Strict parsing of a stated confidence.

A reply counts only if it begins with a number on the scale, optionally with decimals, and the number is followed by a
percent sign, the end of the reply, white space or sentence punctuation that no digit follows ("0,95" and "95.5/100" do
not count). Anything else is a format failure and becomes NaN: it is counted and shown, never guessed at.
"""

from __future__ import annotations

import math
import re

NUMBER = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\.?\s*(?:%|$|(?=\s|[.,;:!)](?!\d)))")


def parse_confidence(text: str, certain: int) -> float:
    """Stated confidence as a share of ``certain`` in [0, 1]; NaN if the text does not state one."""
    match = NUMBER.match(text)
    if match is None:
        return math.nan
    value = float(match.group(1))
    return value / certain if value <= certain else math.nan
