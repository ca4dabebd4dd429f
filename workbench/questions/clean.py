"""Clean text for comparison: one alphabet, one minus sign, one apostrophe, without LaTeX and
emphasis.

Letters lose accents and keep their case; digits of any script become 0 to 9; every minus sign,
hyphen and short dash becomes ``-``, every apostrophe (the okina too) ``'``. A superscript is
written ``^2``, so that it is an exponent of what precedes it and never a separate number; a vulgar
fraction is written ``1/2`` after a space; a circled digit is set apart by spaces. A narrow or
no-break space between groups of digits becomes a comma. Of LaTeX, fractions, powers, boxes (a box
is an equals sign before its content), text and spacing are read; other commands keep their names.

What this does not show: LaTeX beyond these commands; the kind ``math`` reads it whole.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SPELLED = {
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "Th",
    "ı": "i",
    "æ": "ae",
    "Æ": "Ae",
    "œ": "oe",
    "Œ": "Oe",
    "ß": "ss",
    "ẞ": "SS",
}
_MARKS = {
    **dict.fromkeys("−‐‑‒–﹣－➖˗⁃", "-"),
    **dict.fromkeys("―﹘⸺⸻", "—"),
    **dict.fromkeys("’‘‛ʼʻʹʽʾʿˈ′＇´`", "'"),
    **dict.fromkeys("“”„‟«»″＂", '"'),
    **dict.fromkeys("×⋅∙·✕✖", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    "≤": "<=", "≥": ">=", "≠": "!=", "⩽": "<=", "⩾": ">=", "™": " ", "®": " ", "©": " ",
}  # fmt: skip
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_GROUPING_SPACE = re.compile(
    "(?<=[0-9])[\u00a0\u2007\u2008\u2009\u200a\u202f\u205f](?=[0-9]{3}(?![0-9]))"
)
# "is**12**" is emphasis; "2**10" and "x**2" are powers.
_POWER = re.compile(r"(?:(?<=[0-9)\]])|(?<=(?<![A-Za-z])[A-Za-z]))\*\*(?=[0-9(A-Za-z]|-[0-9])")
_EMPHASIS = re.compile(r"\*\*|__|~~")
_DEEPEST = 6

_GROUPING_COMMAND = re.compile(r"(?<=[0-9])(?:\\[,;:! ]|\{,\}|\\thinspace ?)(?=[0-9])")
_SPACING = re.compile(
    r"\\[,;:! ]|\\(?:quad|qquad|left|right|displaystyle|big|Big)(?![A-Za-z])|\\[()\[\]]"
)
_SHORT_FRACTION = re.compile(r"\\[dtc]?frac ?([0-9])([0-9])")
_FRACTION = re.compile(
    r"(?P<digit>(?<=[0-9]))?\\[dtc]?frac\s?\{(?P<over>[^{}]{0,200})\}\s?\{(?P<under>[^{}]{0,200})\}"
)
_ROOT = re.compile(r"\\sqrt\s?(?:\{([^{}]{0,200})\}|(?![A-Za-z\[]))")
_BOX = re.compile(r"\\f?box(?:ed)?\s?\{([^{}]{0,2000})\}")
_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|operatorname|emph|bf|rm)\s?\{([^{}]{0,2000})\}"
)
_BRACED_POWER = re.compile(r"\^\s?\{\s*([^{}]{0,200})\}")
_COMMAND = re.compile(r"\\([A-Za-z]{1,40})")
_PLAIN_COMMANDS = {
    "times": "*",
    "cdot": "*",
    "div": "/",
    "le": "<=",
    "leq": "<=",
    "ge": ">=",
    "geq": ">=",
    "ne": "!=",
}
_ESCAPED = re.compile(r"\\([$%#&_{}|])")


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """Clean ``text`` as the module says, case kept. Cleaning twice changes nothing that is
    compared.
    """
    if "\\" in text or "{" in text:
        text = _without_latex(text)
    text = _GROUPING_SPACE.sub(",", text)
    text = _POWER.sub("^", text)
    text = _EMPHASIS.sub("", text)
    text = _SUPERSCRIPT.sub(_exponent, text)
    if text.isascii():
        return text.replace("`", "'")
    return "".join(map(_plain, unicodedata.normalize("NFC", text)))


def _exponent(match: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKC", match.group()).replace("\u2212", "-")
    if not any(map(str.isdigit, plain)):
        return plain
    before_digit = match.string[match.end() : match.end() + 1].isdigit()
    return "^" + plain + " " * before_digit


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """Return one character in the spelling that is compared."""
    if character in _MARKS:
        return _MARKS[character]
    if character in SPELLED:
        return SPELLED[character]
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category in ("Cf", "Mn", "Me"):
        return ""
    decomposed = unicodedata.normalize("NFKD", character)
    if category == "No" and "\u2044" in decomposed:
        return " " + decomposed.replace("\u2044", "/")
    kept = "".join(
        SPELLED.get(c, _MARKS.get(c, c)) for c in decomposed if not unicodedata.combining(c)
    )
    # A subscript belongs to its formula; any other numeral that is no decimal digit (circled, in
    # brackets) is set apart.
    if category == "No" and not unicodedata.decomposition(character).startswith("<sub>"):
        return f" {kept} "
    return kept


def _without_latex(text: str) -> str:
    text = _GROUPING_COMMAND.sub(",", text)
    for escaped in ("\\dollar", "\\textdollar"):
        text = text.replace(escaped, "$")
    text = _ESCAPED.sub(r"\1", text) if "\\" in text else text
    text = _SPACING.sub(" ", text)
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    # Innermost first, each round one level of braces.
    for _ in range(_DEEPEST):
        before = text
        text = _BRACED_POWER.sub(_power, text)
        text = _FRACTION.sub(_fraction, text)
        text = _WRAPPED.sub(r"\1", text)
        text = _ROOT.sub(lambda match: f"√({match.group(1)})" if match.group(1) else "√", text)
        text = _BOX.sub(r" = \1 ", text)
        if text == before:
            break
    return _COMMAND.sub(
        lambda match: _PLAIN_COMMANDS.get(match.group(1), f" {match.group(1)} "), text
    )


def _power(match: re.Match[str]) -> str:
    inner = match.group(1).strip()
    return f"^{inner}" if re.fullmatch(r"[-+]?\w{1,40}", inner) else f"^({inner})"


def _fraction(match: re.Match[str]) -> str:
    over, under = match.group("over").strip(), match.group("under").strip()
    mixed = match.group("digit") is not None
    plain = (
        re.fullmatch("[0-9]+" if mixed else "[-+\u2212\u2013]?[0-9]+", over) is not None
        and under.isdigit()
    )
    space = " " if mixed else ""
    return f"{space}{over}/{under}" if plain else f"{space}({over})/({under})"
