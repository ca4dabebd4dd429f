"""Find which option a reply chooses, by its letter or its text. All letters and options are treated
alike.

Read in this order, and the first that names an option decides:

1. The reply is one letter, or one option's text, and nothing else.
2. Its last statement ("the answer is B", "Answer: B", "= B", a box).
3. The letter form it opens with ("B.", "(B)", "B:"), unless further lines open with letters too.
4. Every letter and option text it holds. A capital letter alone counts if no other word could begin
   with it as one word: at the end, before a mark or before a word that no article or pronoun stands
   before ("B because"). Letters inside an option's text do not count, nor units after a number
   (``37 °C``), nor what is rejected ("not B"). Letters win over texts. Texts of one or two
   characters must be whole tokens with their case, function words such as "No" too, but for
   what the reply opens with ("no, ...").
5. What may be meant: other capital letters ("B big house"), short options in another case.

One named option is certain, except in step 5. Several are candidates of which none is chosen.

What this does not show: paraphrases of an option; they name none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase

from workbench.questions.aliases import Grade, alias_grade, is_same
from workbench.questions.clean import clean
from workbench.questions.normalise import choice_letter, keys, number_of
from workbench.questions.words import CAPITONYMS, CLOSED_CLASS

_SHORTEST = 2
_LONGEST_SAID = 2000
_MOST_STATEMENTS = 50
_CONNECTIVES = """
is because since as and or but due by seems appears that which if then so
"""
_GOES_ON = frozenset(_CONNECTIVES.split())
_BARE = re.compile(r"(?<![^\W_])(?<!['.])([A-Z])(?![^\W_]|'|\.[A-Za-z])(?P<next>[ \t]+[a-z]+)?")
_UNIT_BEFORE = re.compile(r"(?:[0-9]\s?(?:°\s?)?|°\s?)$")
_REJECTED = re.compile(
    r"(?:\bnot|n't|\bnor|\bneither|\brather than|\binstead of|\bexcept|\bthan)\s+(?:option\s+|choice\s+|the\s+|\()?$",
    re.I,
)
_STATEMENT = re.compile(
    r"(?:\b(?:final |correct |right |best )?(?:answer|choice|option|letter)\b(?: (?:to|for|of) [^.\n:=]{1,80}?)?"
    r"(?:\s(?:is|was|would be|must be|should be)\b:?|\s{0,2}[:=])|(?<![=!<>])=(?!=)|####)\s{0,3}[\"'(\[]?\s?(?:option |choice |letter )?",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"\s*[*\"'_]{0,3}(?:(?P<round>[(\[])\s?(?P<inside>[A-Za-z])\s?[)\]]|(?P<letter>[A-Za-z])(?P<form>[).](?=\s|[*\"'_]|$)|[:\]])"
    r"|(?P<strong>[A-Z])[*\"'_]{1,3}(?=[\s.):]|$))"
)
_LINE = re.compile(r"^\s*[*(\[]{0,3}([A-Z])[)\].:]", re.MULTILINE)
_LISTED = re.compile(r"(?:^|[.;,]\s+)([A-Z])[).]\s")
_BRACKETED = re.compile(r"[(\[]\s?([A-Z])\s?[)\]]")
_JOINED = re.compile(
    r"\s*[)\].,\"']{0,2}\s*(?:or|and|and/or|/|&|,)\s*(?:option |choice |\()?\s*([A-Z])(?![^\W_]|')"
)
_SENTENCE = re.compile(r"(?:[^.\n;,!?]|[.,](?=[0-9])){0,400}")
_LETTER_AFTER = re.compile(
    r"[*_\"']{0,3}(?:([A-Z])(?![^\W_]|'|\.[A-Za-z])|([a-z])(?=\s?[)\]]|[*_\"'.,]{0,4}[ \t]*(?:$|\n)))"
)


@dataclass(frozen=True)
class Choice:
    """The letters a reply may mean; ``certain`` where it is clear which letters are named."""

    letters: frozenset[str]
    certain: bool = True

    @property
    def letter(self) -> str | None:
        """The one letter it means; None when it names none, several, or one that is not certain."""
        return next(iter(self.letters)) if self.certain and len(self.letters) == 1 else None


def chosen_letter(reply: str) -> str | None:
    """Return the one choice letter a reply names; None when it names none or several."""
    return choice_read(reply).letter


def chosen_option(reply: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option a reply means; without ``options``, its one letter."""
    return choice_read(reply, options).letter


def choice_read(reply: str, options: Sequence[str] = ()) -> Choice:
    """Return the options a reply chooses, as the module says; without ``options`` by
    letters alone.
    """
    known = frozenset(ascii_uppercase[: len(options)] if options else ascii_uppercase)
    whole = _whole(reply, options, known)
    if whole is not None:
        return Choice(frozenset(whole))
    text = clean(reply)
    for named in (_stated(text, options, known), _opened(text, known)):
        if named:
            return Choice(frozenset(named))
    rest, texts = _texts(text, options)
    strong, weak = _letters(rest, known)
    if strong or texts:
        return Choice(frozenset(strong or texts))
    opening = _SENTENCE.match(text.lstrip())
    same = _matching(opening.group(), options) if opening is not None else set()
    if same:
        return Choice(frozenset(same))
    sure, loose = _loose(rest, options)
    if sure and not weak:
        return Choice(frozenset(sure))
    return Choice(frozenset(weak | sure | loose), certain=False)


def _whole(reply: str, options: Sequence[str], known: frozenset[str]) -> set[str] | None:
    """Return the letter, or the option's, that the whole reply is; None when it is more
    than that.
    """
    alone = choice_letter(reply)
    if alone is not None and alone in known:
        return {alone}
    same = _matching(reply, options)
    if same or alone is not None:
        return same
    return None


def _matching(said: str, options: Sequence[str]) -> set[str]:
    """Return the one option that a text equals: to the letter, without case and sentence marks, as
    a number or as the same words.
    """
    mine = _bare(said)
    if not mine or len(said) > _LONGEST_SAID:
        return set()
    number = number_of(said)
    rules = (
        lambda option: _bare(option) == mine,
        lambda option: _bare(option).casefold() == mine.casefold(),
        lambda option: "".join(_bare(option).split()) == "".join(mine.split()),
        lambda option: number is not None and number_of(option) == number,
        lambda option: is_same(mine, option),
    )
    for rule in rules:
        same = {
            letter for letter, option in zip(ascii_uppercase, options, strict=False) if rule(option)
        }
        if same:
            return same if len(same) == 1 else set()
    return set()


@lru_cache(maxsize=4096)
def _bare(text: str) -> str:
    """Return the cleaned text with single spaces, without marks around a whole answer."""
    return " ".join(clean(text).split()).strip("\"'*_ ").rstrip(".?;:,").strip("\"'*_ ")


def _stated(text: str, options: Sequence[str], known: frozenset[str]) -> set[str]:
    """Return the letters that the last statement names, of those that name any."""
    ends = deque((match.end() for match in _STATEMENT.finditer(text)), maxlen=_MOST_STATEMENTS)
    return next(filter(None, (_after(text, end, options, known) for end in reversed(ends))), set())


def _after(text: str, start: int, options: Sequence[str], known: frozenset[str]) -> set[str]:
    """Return the letters, or the option's text, that follow a statement."""
    match = _LETTER_AFTER.match(text, start)
    letter = "" if match is None else (match.group(1) or match.group(2)).upper()
    if match is not None and letter in known:
        word = re.compile(r"[ \t]+([a-z]+)").match(text, match.end())
        if word is None or word.group(1) in _GOES_ON:
            named, end = {letter}, match.end()
            while (other := _JOINED.match(text, end)) is not None:
                named.add(other.group(1))
                end = other.end()
            return named & known
    sentence = _SENTENCE.match(text, start)
    line = text[start : start + 400].partition("\n")[0]
    for piece in (line, sentence.group() if sentence else ""):
        same = _matching(piece, options)
        if same:
            return same
    return set()


def _opened(text: str, known: frozenset[str]) -> set[str]:
    """Return the letter form the text opens with, unless it opens a list of letters."""
    opening = _OPENING.match(text)
    if opening is None:
        return set()
    letter = next(filter(None, opening.group("inside", "letter", "strong"))).upper()
    line = text.partition("\n")[0]
    listed = {
        match.group(1)
        for match in (_BRACKETED if opening.group("round") else _LISTED).finditer(line)
    }
    listed |= {match.group(1) for match in _LINE.finditer(text)}
    if (
        letter not in known
        or len({letter} | listed & known) > 1
        or _JOINED.match(text, opening.end())
    ):
        return set()
    return {letter}


def _texts(text: str, options: Sequence[str]) -> tuple[str, set[str]]:
    """Remove the options' texts from ``text``, longest first; return the rest and the letters of
    those it names.
    """
    named: set[str] = set()
    folded = [clean(option).strip(" .") for option in options]
    for index in sorted(range(len(options)), key=lambda i: (-len(folded[i]), folded[i])):
        option = folded[index]
        if not option or choice_letter(option) is not None:
            continue
        repeated = sum(other.casefold() == option.casefold() for other in folded) > 1
        exact = (
            len(option) <= _SHORTEST or repeated or option.casefold() in CLOSED_CLASS | CAPITONYMS
        )
        text, found = _taken_out(option, text, exact)
        if found:
            named.add(ascii_uppercase[index])
    return text, named


def _taken_out(option: str, text: str, exact: bool) -> tuple[str, bool]:
    flags = re.NOFLAG if exact else re.IGNORECASE
    spelt = re.escape(option) + (f"|{re.escape(option.capitalize())}" if option.islower() else "")
    pattern = re.compile(
        rf"(?<![^\W_])(?<![0-9][.,])(?:{spelt})(?![^\W_]|[.,][0-9]|[+#'^(](?=\S))", flags
    )
    kept, last, affirmed = [], 0, False
    for match in pattern.finditer(text):
        kept.append(text[last : match.start()])
        last = match.end()
        affirmed |= not _REJECTED.search(text, max(0, match.start() - 24), match.start())
    return " ; ".join([*kept, text[last:]]), affirmed


def _letters(text: str, known: frozenset[str]) -> tuple[set[str], set[str]]:
    """Return the letters that are certainly named, and those that may be."""
    strong: set[str] = set()
    weak: set[str] = set()
    for match in _BARE.finditer(text):
        letter, following = match.group(1), (match.group("next") or "").strip()
        start = match.start()
        if letter not in known or _REJECTED.search(text, max(0, start - 24), start):
            continue
        if _UNIT_BEFORE.search(text, max(0, start - 4), start):
            continue
        (weak if following and following not in _GOES_ON else strong).add(letter)
    return strong, weak


def _loose(text: str, options: Sequence[str]) -> tuple[set[str], set[str]]:
    """Return the options that the text holds as an equal number or in another spelling, and options
    that it may hold.
    """
    sure: set[str] = set()
    maybe: set[str] = set()
    said = set(keys(text)) if options else set()
    for letter, option in zip(ascii_uppercase, options, strict=False):
        if choice_letter(option) is not None:
            continue
        grade = alias_grade(text, option)
        if grade is Grade.RIGHT:
            sure.add(letter)
        elif grade is Grade.UNGRADED or (len(keys(option)) == 1 and keys(option)[0] in said):
            maybe.add(letter)
    return sure, maybe
