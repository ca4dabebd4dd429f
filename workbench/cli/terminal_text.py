"""Make text safe to print: characters that would move the cursor, recolour, retitle or reorder a
terminal are shown as escapes.

Questions, domains, groups, file names, templates and the messages of other libraries come from
anywhere, and a terminal obeys the control characters in them. Everything the command line prints
passes through :func:`safe_text` (several lines) or :func:`safe_line` (a cell, a name, a column of a
table).

Escaped are all characters of the Unicode categories control, format, surrogate, line and paragraph
separator, and private use: ESC and the other C0 and C1 codes, DEL, bidirectional overrides and
isolates, invisible characters, bytes that are no UTF-8. Joiners that scripts and emoji are written
with stay.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS = frozenset({"\u200c", "\u200d"})
_LAYOUT = frozenset({"\n", "\t"})


def safe_text(text: object) -> str:
    """Escape the characters a terminal would obey; line breaks and tabs stay."""
    return "".join(_shown(character, _LAYOUT) for character in str(text))


def safe_line(text: object) -> str:
    """Escape the characters a terminal would obey, line breaks and tabs too, so that the text stays
    in its line and its column.
    """
    return "".join(_shown(character, frozenset()) for character in str(text))


def _shown(character: str, kept: frozenset[str]) -> str:
    if character.isprintable() or character in kept or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _UNSAFE:
        return character
    return character.encode("unicode_escape").decode("ascii")
