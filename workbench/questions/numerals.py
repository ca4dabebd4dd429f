"""Find numbers written in digits in cleaned text: one rule for signs, separators, fractions,
powers, currencies and suffixes.

A numeral has one ``value`` where it can be read with certainty, and ``others``: what else its
writer may have meant. ``1,234`` is 1234 and may be 1.234; ``5M`` may be 5 or 5 000 000 and has no
certain value. A sign belongs to the number unless a digit, a letter or a closing bracket precedes
it; a currency may be between them. Ordinals and decades (``3rd``, ``1990s``) and digits after
letters (``H2O``) are words.

Separators: groups of three digits after commas, apostrophes, underscores or (two groups at least)
points; Indian groups; a decimal point; a decimal comma where nothing else can be meant. Without a
certain reading the parts are numbers of a list.

What this does not show: Roman numerals, numbers in scripts that write them in words, sums that are
not carried out.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache
from math import factorial

from workbench.questions.numeral import (
    Numeral,
    add_fraction,
    either,
    raise_numeral,
    times_power_of_ten,
)

MOST_DIGITS = 60
_FEW = 40
_FREE_BEFORE = " 0123456789,.;:/*=abcdefhijklmoqruvwxyzABCDEFGHIJKLMOPQRUVWXYZ"
_FREE_AFTER = " .,;:/*=?\n"
_OPEN, _CLOSED = ("(", "[", "{"), (")", "]", "}")
_ARGUMENT = re.compile(r"(?:√|sqrt|log|ln|exp|sin|cos|tan)\s?[({]?\s?$")
CURRENCY = "".join(chr(c) for c in range(0x24, 0x20C1) if unicodedata.category(chr(c)) == "Sc")
_CUR = f"[{re.escape(CURRENCY)}]"
_RUN = r"[0-9]+(?:[.,'_][0-9]+)*|\.[0-9]+"
_EXPONENT = r"\(?[-+]?[0-9]{1,6}\)?(?![0-9]|[./][0-9])"
NUMERAL = rf"""
    (?P<sign>(?<![^\W_])(?<![)\]}}%°—-])[-+—](?:(?:[A-Z]{{1,3}})?{_CUR}\s?)?)?
    (?P<dated>(?<=[0-9]/))?
    (?P<run>(?<![0-9][ ])[0-9]{{1,3}}(?:[ ][0-9]{{3}})+(?:[.,][0-9]{{1,2}})?(?![0-9]|[.,'_/][0-9]|[ ]?[0-9/])|{_RUN})
    (?:(?P<e>[eE][-+]?[0-9]{{1,6}})(?![^\W_])
      |(?P<scientific>\s?[*xX]\s?10\s?\^\s?{_EXPONENT})
      |(?P<power>\s?\^\s?{_EXPONENT})
      |(?P<mixed>(?:[ ]{{1,3}}|-|[ ]and[ ])[0-9]{{1,9}}/[0-9]{{1,9}})(?![0-9]|[./][0-9])
      |(?(dated)(?!)|(?P<under>/[0-9]{{1,60}})(?![0-9]|[./][0-9]))
    )?
    (?P<suffix>[kKmMbBtT](?![^\W_])|\s?(?:bn|mn|mln|mio|tn|trn)(?![^\W_]))?
    """
ORDINAL = r"(?P<ordinal>[0-9]{1,60}(?:,[0-9]{3}){0,20}(?:st|nd|rd|th|'?s)(?![^\W_]))"
_SUFFIXES = {
    "k": 10**3, "m": 10**6, "mn": 10**6, "mln": 10**6, "mio": 10**6, "b": 10**9, "bn": 10**9, "t": 10**12, "tn": 10**12,
    "trn": 10**12,
}  # fmt: skip
_GROUPED = re.compile(
    r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:'[0-9]{3})+|[0-9]{1,3}(?:_[0-9]{3})+)(\.[0-9]+)?"
)
_INDIAN = re.compile(r"([0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3})(\.[0-9]+)?")
_POINTED = re.compile(r"([0-9]{1,3}(?:\.[0-9]{3}){2,}|[0-9]{1,3}\.[0-9]{3}(?=,))(?:,([0-9]+))?")
_PLAIN = re.compile(r"[0-9]*\.?[0-9]+")
_ONE_COMMA = re.compile(r"([0-9]+),([0-9]+)")
_UNIT_AFTER = re.compile(
    rf"\s?(?:[%‰°]|{_CUR}|percent\b|per cent\b|(?:thousand|million|billion|trillion)s?\b)|[a-zA-Z]"
)


Placed = tuple[Numeral, int, int]


def read_numeral(match: re.Match[str]) -> list[Placed]:
    """Return the numerals of a match of ``NUMERAL`` with their places; several where its run is a
    list.
    """
    text, (start, end) = match.string, match.span()
    run_start, run_end = match.span("run")
    if (run_start, run_end) == (start, end) and _stands_free(text, start, end):
        return [(_run(text[start:end], False)[0][0], start, end)]
    money = _has_currency(match)
    enclosed = (
        text[max(0, run_start - 1) : run_start] in _OPEN and text[run_end : run_end + 1] in _CLOSED
    )
    certain = _is_alone(match) or money or _UNIT_AFTER.match(text, run_end) is not None
    parts = list(_run(match.group("run"), None if enclosed else certain))
    last, at, _ = parts[-1]
    last = _after(match, last, money)
    if match.group("sign") and match.group("sign")[0] == "-":
        first = last if len(parts) == 1 else parts[0][0]
        negative = first.scaled(-1)
        if len(parts) == 1:
            last = negative
        else:
            parts[0] = (negative, *parts[0][1:])
    if match.group("sign") and match.group("sign")[0] == "—" and len(parts) == 1:
        # A long dash is more often a dash than a sign.
        last = Numeral(None, last.readings | last.scaled(-1).readings)
    last = _marked(text, end, _spaced_sign(text, start, last))
    if _ARGUMENT.search(text, max(0, start - 8), start):
        last = Numeral(None, last.readings)
    places = [(numeral, run_start + left, run_start + right) for numeral, left, right in parts[:-1]]
    placed = [*places, (last, run_start + at, end)]
    return [(placed[0][0], start, placed[0][2]), *placed[1:]]


def _stands_free(text: str, start: int, end: int) -> bool:
    """Return whether nothing next to plain digits can change how they are read: a quick answer for
    most of them.
    """
    before, after = text[max(0, start - 5) : start], text[end : end + 2]
    return (
        text[start:end].isdigit()
        and not before.strip(_FREE_BEFORE)
        and not after[:1].strip(_FREE_AFTER)
        and (after[:1] != " " or (after[1:].isalnum() and after[1:] not in "pPπ"))
    )


def ordinal(spelling: str) -> Numeral:
    """Return the number an ordinal may mean."""
    digits = re.match("[0-9,]+", spelling)
    number = None if digits is None else _fraction(digits.group().replace(",", ""))
    return Numeral(None, frozenset() if number is None else frozenset({number}))


def _fraction(digits: str) -> Fraction | None:
    """Return the value of plain digits; None beyond the digits that are compared as a number."""
    return Fraction(digits) if 0 < len(digits) <= MOST_DIGITS else None


def _numeral(digits: str, *others: str) -> Numeral:
    found = (_fraction(other) for other in others)
    return Numeral(_fraction(digits), frozenset(value for value in found if value is not None))


@lru_cache(maxsize=4096)
def _run(run: str, decimal_comma: bool | None) -> tuple[Placed, ...]:
    """Read digits with their separators.

    ``decimal_comma``: nothing but a decimal can be meant by one comma; None between brackets, where
    a pair is meant as well.
    """
    whole = (0, len(run))
    if run.isdigit():
        return ((_numeral(run), *whole),)
    if " " in run:
        front, point, tail = re.fullmatch(r"([0-9 ]+)([.,]?)([0-9]*)", run).groups()  # type: ignore[union-attr]
        groups = front.split(" ")
        joined = _numeral("".join(groups) + ("." + tail if point else ""))
        if any(group[0] == "0" for group in groups[1:]):
            return ((joined, *whole),)
        found = [_fraction(group) for group in groups]
        return (
            (
                Numeral(None, joined.readings | {value for value in found if value is not None}),
                *whole,
            ),
        )
    grouped = _GROUPED.fullmatch(run) or _INDIAN.fullmatch(run)
    if grouped is not None and not run.startswith(("0,", "0'", "00")):
        digits = re.sub("[,'_]", "", grouped.group(1)) + (grouped.group(2) or "")
        one_comma = run.count(",") == 1 and "." not in run
        return (
            (_numeral(digits, run.replace(",", ".")) if one_comma else _numeral(digits), *whole),
        )
    pointed = _POINTED.fullmatch(run)
    if pointed is not None:
        return (
            (_numeral(pointed.group(1).replace(".", "") + f".{pointed.group(2) or 0}"), *whole),
        )
    if _PLAIN.fullmatch(run):
        thousands = re.fullmatch(r"[1-9][0-9]{0,2}\.[0-9]{3}", run)
        return ((_numeral(run, run.replace(".", "")) if thousands else _numeral(run), *whole),)
    return _comma_or_list(run, decimal_comma)


def _comma_or_list(run: str, decimal_comma: bool | None) -> tuple[Placed, ...]:
    pair = _ONE_COMMA.fullmatch(run)
    other = () if pair is None else (run.replace(",", "."),)
    if pair is not None and decimal_comma is not None and (decimal_comma or pair.group(1) == "0"):
        return ((_numeral(*other), 0, len(run)),)
    parts = r"[0-9]+(?:\.[0-9]+)?(?![.0-9])|[0-9]+" if "," in run else "[0-9]+"
    return tuple((_numeral(m.group(), *other), m.start(), m.end()) for m in re.finditer(parts, run))


def _after(match: re.Match[str], numeral: Numeral, money: bool) -> Numeral:
    """Apply what follows the digits to the numeral: an exponent, a power, a fraction, a suffix."""
    if match.group("e"):
        numeral = times_power_of_ten(numeral, match.group("e")[1:])
    elif match.group("scientific"):
        numeral = times_power_of_ten(numeral, match.group("scientific").partition("^")[2])
    elif match.group("power"):
        numeral = raise_numeral(numeral, match.group("power").partition("^")[2])
    elif match.group("mixed"):
        numeral = add_fraction(numeral, match.group("mixed"))
    elif match.group("under"):
        below = int(match.group("under")[1:])
        numeral = numeral.scaled(Fraction(1, below)) if below else Numeral(None)
    elif match.string.startswith("^", match.end("run")):
        numeral = Numeral(None, numeral.readings)
    suffix = (match.group("suffix") or "").strip()
    if not suffix:
        return numeral
    scaled = numeral.scaled(_SUFFIXES[suffix.lower()])
    if money or len(suffix) > 1:
        return scaled
    if suffix == "k":
        return Numeral(scaled.value, scaled.others | numeral.readings)
    # A capital letter after a number is a million as often as a unit; a small one is a unit first.
    value = None if suffix.isupper() else numeral.value
    return Numeral(value, numeral.readings | scaled.readings)


def _marked(text: str, end: int, numeral: Numeral) -> Numeral:
    """Add the readings that a mark after the number allows: per cent and per mille, a factorial."""
    after = text[end : end + 9].lstrip()
    if after.startswith("%") or re.match(r"per ?cent", after):
        numeral = either(numeral, numeral.scaled(Fraction(1, 100)))
    elif after.startswith("‰"):
        numeral = either(numeral, numeral.scaled(Fraction(1, 1000)))
    elif text.startswith("!", end) and numeral.value is not None and numeral.value.denominator == 1:
        if 2 < numeral.value <= 20:
            numeral = either(numeral, Numeral(Fraction(factorial(int(numeral.value)))))
    elif after.startswith(("π", "√")):
        numeral = Numeral(None, numeral.readings)
    return numeral


def _spaced_sign(text: str, start: int, numeral: Numeral) -> Numeral:
    """Read a minus sign with a space after it: a sign, a dash, a bullet or a subtraction, by what
    precedes it.
    """
    before = re.sub(rf"(?:[A-Z]{{1,3}})?{_CUR}\s?$", "", text[max(0, start - 12) : start])
    if not re.search(r"(?<!-)-[ \t]{1,3}$", before):
        if re.search(r"[0-9)\]][ \t]+$", before) and text[start] == "-":
            return either(numeral, numeral.scaled(-1))
        return numeral
    front = before.rstrip(" \t")[:-1].rstrip(" \t")
    negative = numeral.scaled(-1)
    if (not front and start < 12) or front.endswith("\n"):
        return Numeral(None, numeral.readings | negative.readings)
    if front.endswith(("=", ":", "(", "[")):
        return negative
    return numeral if front.endswith(tuple("0123456789)]")) else either(numeral, negative)


def _has_currency(match: re.Match[str]) -> bool:
    sign = match.group("sign") or ""
    before = match.string[max(0, match.start() - 2) : match.start()].rstrip()
    return sign.strip()[-1:] in tuple(CURRENCY) or before[-1:] in tuple(CURRENCY)


def _is_alone(match: re.Match[str]) -> bool:
    """Return whether the text is this one numeral and sentence marks."""
    edges = " \t\n.:;!?\"'()[]*_=~" + CURRENCY
    text, start, end = match.string, match.start(), match.end("run")
    if start > _FEW or len(text) - end > _FEW:
        return False
    return not text[:start].strip(edges) and not text[end:].strip(edges)
