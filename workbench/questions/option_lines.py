"""Find the options of a multiple-choice question in the text that is asked.

Options are the lines that begin with the letters A, B, ... in order, each in one of the usual forms
("A. x", "A) x", "(A) x"); what follows the last of them says how to answer. A text without at least
two such lines has none.

What this does not show: options written within one line, or after numbers, are not seen and stay
part of the question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import ascii_uppercase

_LINE = re.compile(r"\(?([A-Z])[.):]\)?\s+(\S.*)")
_CHOSEN = re.compile(r"\(?([A-Z])(?:[.):]+(?:\s.*)?)?", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """A question cut from its options: ``lines`` as they are written, ``texts`` without their
    letters.
    """

    stem: str
    lines: tuple[str, ...]
    texts: tuple[str, ...]


def choice_of(question: str) -> Choice:
    """Cut ``question`` into its stem and its options; no options where it has none."""
    lines = question.split("\n")
    found = [_LINE.fullmatch(line.strip()) for line in lines]
    for start in range(len(lines)):
        matches = []
        for letter, match in zip(ascii_uppercase, found[start:], strict=False):
            if match is None or match.group(1) != letter:
                break
            matches.append(match)
        if len(matches) > 1:
            stem = "\n".join(lines[:start]).rstrip()
            return Choice(
                stem, tuple(m.group() for m in matches), tuple(m.group(2).strip() for m in matches)
            )
    return Choice(question, (), ())


def quoted(question: str, options: bool) -> str:
    """Return the question as it is quoted: with its options, one per line, or without. The
    instruction how to answer is left out.
    """
    choice = choice_of(question)
    return "\n".join([choice.stem, *choice.lines]) if options else choice.stem


def spelled_out(question: str, answer: str) -> str:
    """Return the text of the option that ``answer`` names by its letter; any other answer
    unchanged.
    """
    match, texts = _CHOSEN.fullmatch(answer.strip()), choice_of(question).texts
    place = ascii_uppercase.index(match.group(1)) if match else len(texts)
    return texts[place] if place < len(texts) else answer
