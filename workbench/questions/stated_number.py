"""Find which number a reply states: the one after its last statement, or the only one that is not
in the question.

A statement is what follows ``=`` (a box too), ``####``, "equals" or "the answer is"; of several the
last one with a number after it counts. Without one, numbers that are also in the question are left
out; if all are, a lone number counts, and of several the rest after each number of the question is
removed once. A copy of the whole question is left out first, a number after "not" too. Where more
than one number is left, none is chosen: all are candidates.

This does not show which of several numbers was meant; such a reply is ungraded if one of them would
be right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from workbench.questions.normalise import Token, tokens, written
from workbench.questions.numeral import Numeral

_STATEMENT = re.compile(
    r"(?<![=!<>])=(?!=)|####|\bequals\b|\bequal to\b"
    r"|\b(?P<answer>(?:final |correct |right )?answer)\b(?: (?:to|for|of) [^.\n=]{1,120}?)?(?: is\b| was\b| would be\b| must be\b|\s{0,3}[:*]{1,4})",
    re.IGNORECASE,
)
_JOINS = re.compile(
    r"[\s%°*_~]{0,4}[A-Za-z]{0,12}[\s,]{0,3}(?:or|to|and|through|-|~|/)\s{0,3}", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(?:not|rather than|instead of|isn't|nor)\s+$", re.IGNORECASE)


def stated_numbers(reply: str, question_text: str) -> list[Numeral]:
    """Return the numbers a reply may state, each once: one where it is certain which, none where it
    holds none that is not copied.
    """
    text, said, asked = written(reply), tokens(reply), tokens(question_text)
    own = _without_copy(said, asked)
    found = [token for token in own if token.numeral is not None and not token.weak]
    if not found:
        return _distinct([token for token in own if token.numeral is not None])
    affirmed = [
        token for token in found if not _NEGATED.search(text, max(0, token.start - 14), token.start)
    ]
    first = own[0].start
    statements = [
        match for match in _STATEMENT.finditer(text, first) if match.end() <= found[-1].start
    ]
    if statements:
        return _after(
            text, statements[-1], [t for t in affirmed if t.start >= statements[-1].end()], asked
        )
    known = [token.key for token in asked if token.numeral is not None]
    new = [token for token in affirmed if token.key not in known]
    if not affirmed:
        return [Numeral(None, numeral.readings) for numeral in _distinct(found)]
    if new or len(found) == 1:
        return _distinct(new or found)
    return _distinct(_left_over(found, known)) or ([] if _is_part(own, asked) else _distinct(found))


def chosen_number(reply: str, question_text: str) -> Fraction | None:
    """Return the one number a reply states; None when it holds none that is not copied, or cannot
    be read with certainty.
    """
    found = stated_numbers(reply, question_text)
    return found[0].value if len(found) == 1 else None


def _after(
    text: str, statement: re.Match[str], after: Sequence[Token], asked: Sequence[Token]
) -> list[Numeral]:
    """Return the number after a statement, with those it is joined to; after ``=`` also numbers
    stated later.
    """
    if not after:
        return []
    joined = [after[0]]
    for token in after[1:]:
        gap = text[joined[-1].end : token.start]
        if len(gap) > 24 or not _JOINS.fullmatch(gap):
            break
        joined.append(token)
    known = {token.key for token in asked}
    later = (
        [] if statement.group("answer") else [token for token in after if token.key not in known]
    )
    return _distinct([*joined, *later])


def _distinct(found: Sequence[Token]) -> list[Numeral]:
    kept: dict[object, Numeral] = {}
    for token in found:
        if token.numeral is not None:
            kept.setdefault(token.key, token.numeral)
    return list(kept.values())


def _left_over(found: Sequence[Token], known: Sequence[str | Fraction]) -> list[Token]:
    rest = list(found)
    for number in known:
        at = next((i for i, token in enumerate(rest) if token.key == number), None)
        if at is not None:
            del rest[at]
    return rest


def _without_copy(said: Sequence[Token], asked: Sequence[Token]) -> Sequence[Token]:
    """Return the reply's tokens without its first copy of the whole question."""
    start = _place(asked, said)
    return said if start is None else [*said[:start], *said[start + len(asked) :]]


def _is_part(said: Sequence[Token], asked: Sequence[Token]) -> bool:
    """Return whether the reply is words copied from the question and nothing else."""
    return len(said) > 1 and _place(said, asked) is not None


def _place(part: Sequence[Token], whole: Sequence[Token]) -> int | None:
    if not part:
        return None
    joined, wanted = (
        f"\0{chr(0).join(str(token.key) for token in each)}\0" for each in (whole, part)
    )
    at = joined.find(wanted)
    return None if at < 0 else joined.count("\0", 0, at)
