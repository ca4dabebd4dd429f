"""Decide whether a reply holds an accepted answer: by whole words, ignoring case and accents, with
three outcomes.

The alias must occur in the reply as the same tokens in the same order (except for a leading
article), compared in three ways (:mod:`workbench.questions.normalise`), outside of words copied
from the question. Beyond that:

short        One or two letters must be spelt exactly and nothing that makes them another symbol may
             touch them (``f`` in ``f(x)``); one that is also an English word (``In``, ``He``) does
             not count as the first word of a sentence, unless it stands alone there.
formula      An alias of short names, digits and marks (``(0, 1)``, ``f'(x)``, ``x < 5``) must occur
             with its marks; with other marks there it is another thing, without any it cannot be
             told.
common word  A capitalised alias that is a function word (``May``, ``Will``) must be spelt so; where
             the reply's capitals tell nothing, and for a name that means something else in lower
             case (``march``), it cannot be told.
negated      Directly after "not", "nor", "rather than" it cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from fractions import Fraction
from functools import lru_cache

from workbench.questions.clean import clean
from workbench.questions.normalise import WAYS, Token, Way, places, tokens, written
from workbench.questions.words import ARTICLES, CAPITONYMS, CLOSED_CLASS, NEGATIONS, SHORT_WORDS

_KEEPS_ARTICLE = (
    SHORT_WORDS | ARTICLES | {"who", "what", "you", "and", "not", "are", "was", "for", "one"}
)
_COPIED_WORDS = 2
_SHORTEST_JOINED = 4
_FORMULA_MARKS = re.compile(r"[()\[\]{}=<>^+*|√∞±→]|(?<=[A-Za-z])'(?![A-Za-z])|(?<=[0-9A-Za-z)])!")
_FORMULA_WORD = re.compile(r"[A-Za-z]+")
_LONGEST_NAME = 3
_LONGEST_FORMULA = 200
_TOUCHES = re.compile(r"[(\[^+#=_]|'[('\[]")


class Grade(Enum):
    """The grade of a reply; ``UNGRADED`` where the rules cannot be sure."""

    RIGHT = "right"
    WRONG = "wrong"
    UNGRADED = "ungraded"

    @property
    def correct(self) -> bool | None:
        """The grade as a cell of a table: true, false or missing."""
        return None if self is Grade.UNGRADED else self is Grade.RIGHT


def best(grades: Sequence[Grade]) -> Grade:
    """Return the grade of a reply that need meet only one of several answers."""
    return next((grade for grade in (Grade.RIGHT, Grade.UNGRADED) if grade in grades), Grade.WRONG)


def alias_grade(reply: str, alias: str, question_text: str = "") -> Grade:
    """Grade whether ``alias`` occurs in ``reply``, as the module says; words copied from
    ``question_text`` do not count.
    """
    found = Grade.WRONG
    for way in WAYS:
        if way != "plain" and not _differs(way, reply, alias, question_text):
            continue
        grade = _grade(reply, alias, question_text, way)
        if grade is Grade.RIGHT:
            return grade
        found = best((found, grade))
    return found


def contains_alias(reply: str, alias: str, question_text: str = "") -> bool:
    """Return whether ``alias`` certainly occurs in ``reply`` as words that are not part of a copy
    of ``question_text``.
    """
    return alias_grade(reply, alias, question_text) is Grade.RIGHT


def is_same(reply: str, alias: str) -> bool:
    """Return whether the reply is the alias and nothing else, ignoring spelling where it does not
    count.
    """
    if reply.strip() == alias.strip():
        return True
    said, wanted = tokens(reply), tokens(alias)
    if (
        not wanted
        or len(said) != len(wanted)
        or _formula(alias) is not None
        or _formula(reply) is not None
    ):
        return False
    if _is_short(wanted) and not wanted[0].spelling.islower():
        return said[0].spelling == wanted[0].spelling
    return [token.key for token in said] == [token.key for token in wanted]


def copied(said: Sequence[Token], at: int, length: int, asked: Sequence[str | Fraction]) -> bool:
    """Return whether the phrase at ``at`` is part of a clearly longer run of the reply that is also
    in the question.
    """
    phrase = [token.key for token in said[at : at + length]]
    for start in range(len(asked) - length + 1):
        if asked[start] != phrase[0] or list(asked[start : start + length]) != phrase:
            continue
        left = 0
        while (
            at - left > 0
            and start - left > 0
            and said[at - left - 1].key == asked[start - left - 1]
        ):
            left += 1
        right = length
        while (
            at + right < len(said)
            and start + right < len(asked)
            and said[at + right].key == asked[start + right]
        ):
            right += 1
        around = [*said[at - left : at], *said[at + length : at + right]]
        if sum(token.key not in ARTICLES for token in around) >= _COPIED_WORDS:
            return True
    return False


def _differs(way: Way, *texts: str) -> bool:
    return any(written(text, way) != written(text) for text in texts)


def _grade(reply: str, alias: str, question_text: str, way: Way) -> Grade:
    said, wanted = tokens(reply, way), _without_article(tokens(alias, way))
    if not wanted or (
        way == "joined" and sum(len(token.spelling) for token in wanted) < _SHORTEST_JOINED
    ):
        return Grade.WRONG
    asked = [token.key for token in tokens(question_text, way)]
    text, found = written(reply, way), Grade.WRONG
    formula = _formula(alias)
    for at in _places(reply, way, wanted):
        if copied(said, at, len(wanted), asked):
            continue
        if formula is not None:
            grade = _formula_grade(text, said[at : at + len(wanted)], formula)
        else:
            grade = _word_grade(text, said, at, wanted)
        if grade is Grade.RIGHT and _negated(said, at):
            grade = Grade.UNGRADED
        if grade is Grade.RIGHT:
            return grade
        found = best((found, grade))
    return found


def _without_article(alias: Sequence[Token]) -> Sequence[Token]:
    rest = alias[1:]
    if (
        not rest
        or alias[0].key not in ARTICLES
        or (len(rest) == 1 and rest[0].key in _KEEPS_ARTICLE)
    ):
        return alias
    return rest


def _is_short(alias: Sequence[Token]) -> bool:
    return (
        len(alias) == 1
        and len(alias[0].spelling.rstrip("+#-")) <= 2
        and isinstance(alias[0].key, str)
    )


def _places(reply: str, way: Way, wanted: Sequence[Token]) -> list[int]:
    """Return the indices among the reply's tokens at which the phrase ``wanted`` starts."""
    said, target, length = tokens(reply, way), [token.key for token in wanted], len(wanted)
    found = [
        i
        for i in places(reply, way).get(target[0], ())
        if [token.key for token in said[i : i + length]] == target
    ]
    if not _is_short(wanted):
        return found
    name = wanted[0].spelling
    spellings = {name, name.capitalize() if name.islower() else name}
    return [i for i in found if said[i].spelling in spellings]


def _word_grade(text: str, said: Sequence[Token], at: int, wanted: Sequence[Token]) -> Grade:
    if len(wanted) > 1 or not isinstance(wanted[0].key, str):
        return Grade.RIGHT
    token, name = said[at], wanted[0]
    alone = _is_alone_in_sentence(text, token)
    if _is_short(wanted):
        if _TOUCHES.match(text, token.end):
            return Grade.UNGRADED
        opens = _opens_sentence(text, token)
        if name.spelling == name.key:
            return Grade.RIGHT if token.spelling == name.spelling or opens else Grade.WRONG
        if name.key not in SHORT_WORDS or alone or not opens:
            return Grade.RIGHT
        return Grade.UNGRADED if text[token.end : token.end + 1] in ",;" else Grade.WRONG
    if not name.spelling[0].isupper() or name.key not in CLOSED_CLASS | CAPITONYMS:
        return Grade.RIGHT
    if alone or (
        token.spelling == name.spelling and not _opens_sentence(text, token) and not text.isupper()
    ):
        return Grade.RIGHT
    if token.spelling == name.spelling or text.isupper():
        return Grade.UNGRADED if name.key in CLOSED_CLASS else Grade.RIGHT
    mixed = any(c.isupper() for c in text)
    if name.key in CLOSED_CLASS:
        return Grade.WRONG if mixed else Grade.UNGRADED
    return Grade.UNGRADED if mixed else Grade.RIGHT


def _opens_sentence(text: str, token: Token) -> bool:
    before = text[max(0, token.start - 8) : token.start].rstrip(" \"'(*")
    return not before or before[-1] in ".!?\n:"


def _is_alone_in_sentence(text: str, token: Token) -> bool:
    """Return whether a sentence is this word alone, or a bracket follows that explains it."""
    after = text[token.end : token.end + 8].lstrip(" \"'*")
    long = len(token.spelling) > 2
    ends = not after or after[0] in "(.!?\n" or (long and after[0] in ",;:")
    return ends and _opens_sentence(text, token)


def _negated(said: Sequence[Token], at: int) -> bool:
    before = [token.key for token in said[max(0, at - 3) : at] if token.key not in ARTICLES]
    if not before:
        return False
    contracted = before[-1] == "t" and len(before) > 1 and str(before[-2]).endswith("n")
    return before[-1] in NEGATIONS or before[-2:] == ["instead", "of"] or contracted


@lru_cache(maxsize=4096)
def _formula(alias: str) -> re.Pattern[str] | None:
    """Return the pattern of an alias whose marks count; None for one of words."""
    if len(alias) > _LONGEST_FORMULA:
        return None
    spaced = clean(alias)
    compact = "".join(spaced.split()).rstrip(".?;:")
    long = [m for m in _FORMULA_WORD.finditer(spaced) if len(m.group()) > _LONGEST_NAME]
    named = any(not spaced.startswith("(", m.end()) for m in long)
    marked = _FORMULA_MARKS.search(re.sub(r"(?<=[A-Za-z0-9])[+#]+$", "", compact).strip('"'))
    if named or marked is None or not any(c.isalnum() for c in compact):
        return None
    # A power may be written without its sign and a product without its dot.
    body = r"\s*".join(rf"\{c}?" if c in "^*" else re.escape(c) for c in compact)
    return re.compile(rf"(?<![^\W_]){body}(?![^\W_]|\s?[\[(^]|'[('])")


def _formula_grade(text: str, place: Sequence[Token], formula: re.Pattern[str]) -> Grade:
    """Grade the formula at the place of its tokens: right with its marks, wrong with others,
    ungraded without any.
    """
    start, end = place[0].start, place[-1].end
    window = text[max(0, start - 12) : end + 12]
    if formula.search(window):
        return Grade.RIGHT
    own = text[max(0, start - 1) : end + 1]
    return Grade.WRONG if _FORMULA_MARKS.search(own) else Grade.UNGRADED
