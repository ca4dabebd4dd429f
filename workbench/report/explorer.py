"""Hold the items that a reader can sort, filter, search and open on a page, and write them as one
script that a page reads from disk.

An item is a row of a table with, folded, its text in tokens, curves and distributions. Curves are
kept as whole numbers of 16 bits between their least and largest value, so that they are rounded to
1/65,534 of that range, and 2,000 questions of an 80-layer model stay below 10 MB; numbers of the
table are written as they are. Text stays text: the page never reads it as markup.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from workbench.arrays import Floats
from workbench.errors import WorkbenchError

EXPLORER_FILE = "questions.js"
VARIABLE = "pageItems"
"""The global name under which the script leaves its content."""

ColumnKind = Literal["text", "number", "percent", "choice", "right"]
_GAP = 65535


@dataclass(frozen=True)
class ExplorerColumn:
    """A column of the table: how its values are shown and chosen. ``choice`` is filtered by its
    values, ``right`` is whether an answer is right, ``percent`` a share from 0 to 1.
    """

    name: str
    kind: ColumnKind


@dataclass(frozen=True)
class ItemCurves:
    """Curves that every item has over the same places.

    Attributes:
        title: heads the figure.
        x: [places].
        series: [items, places] by name; NaN where an item has no value.
        levels: values at which thin lines are drawn.
        bars: whether the values are drawn as steps from zero, as those of a distribution.
        colours: of the series that have a meaning, as #rrggbb.
    """

    title: str
    x: Floats
    series: Mapping[str, Floats]
    x_title: str
    y_title: str
    levels: Sequence[float] = ()
    bars: bool = False
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TokenColours:
    """A number for every token of some items, drawn as the colour behind it.

    Attributes:
        title: what the numbers are.
        explanation: how to read them, and how far.
        unit: in words; a number is multiplied by 100 where it is "points".
        values: by name, the numbers of every item's tokens; None for an item without any.
        missing: what is said of an item without numbers.
    """

    title: str
    explanation: str
    unit: str
    values: Mapping[str, Sequence[Floats | None]]
    missing: str


@dataclass(frozen=True)
class ItemTokens:
    """The text of every item in tokens.

    Attributes:
        tokens: the tokens' text, a sequence an item.
        marks: the index of a named token in every item; None where it has none.
        colours: of the tokens, if there are any.
    """

    tokens: Sequence[Sequence[str]]
    marks: Mapping[str, Sequence[int | None]]
    colours: TokenColours | None = None


@dataclass(frozen=True)
class Explorer:
    """The items of a page.

    Attributes:
        title: heads the table.
        explanation: how to read it.
        columns: of the table.
        rows: the cells, in the order of the columns; None for an empty one.
        texts: further text of every item by its name, shown when it is opened.

    Raises:
        WorkbenchError: where a part has another number of items than the table.
    """

    title: str
    explanation: str
    columns: Sequence[ExplorerColumn]
    rows: Sequence[Sequence[Any]]
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tokens: ItemTokens | None = None
    curves: Sequence[ItemCurves] = ()

    def __post_init__(self) -> None:
        counts = {f"text {name!r}": len(texts) for name, texts in self.texts.items()}
        counts |= {
            f"curve {name!r}": len(values)
            for each in self.curves
            for name, values in each.series.items()
        }
        if self.tokens is not None:
            counts["tokens"] = len(self.tokens.tokens)
            counts |= {f"mark {name!r}": len(at) for name, at in self.tokens.marks.items()}
            counts |= _coloured(self.tokens)
        for part, count in counts.items():
            if count != len(self.rows):
                raise WorkbenchError(f"{part} has {count} items for {len(self.rows)} rows")


def _coloured(items: ItemTokens) -> dict[str, int]:
    """Return of how many items there are colours, by name.

    Raises:
        WorkbenchError: for an item with another number of colours than tokens.
    """
    values = {} if items.colours is None else items.colours.values
    for name, each in values.items():
        for at, numbers in enumerate(each[: len(items.tokens)]):
            if numbers is not None and len(numbers) != len(items.tokens[at]):
                raise WorkbenchError(
                    f"colours {name!r} of item {at} are {len(numbers)} for "
                    f"{len(items.tokens[at])} tokens"
                )
    return {f"colours {name!r}": len(each) for name, each in values.items()}


def write_explorer(explorer: Explorer) -> str:
    """Return the script that holds the items."""
    content = {
        "title": explorer.title,
        "columns": [vars(column) for column in explorer.columns],
        "rows": [[_cell(value) for value in row] for row in explorer.rows],
        "texts": {name: list(texts) for name, texts in explorer.texts.items()},
        "tokens": None if explorer.tokens is None else _tokens(explorer.tokens),
        "curves": [_curves(each) for each in explorer.curves],
    }
    return f"window.{VARIABLE} = {json.dumps(content, allow_nan=False, separators=(',', ':'))};\n"


def packed(values: Floats) -> dict[str, Any]:
    """Return numbers as base64 of 16-bit whole numbers between ``low`` and ``high``; NaN is 65535.

    The page computes ``low + whole / 65534 * (high - low)``.
    """
    known = np.isfinite(values)
    low, high = (float(end(values[known])) if known.any() else 0.0 for end in (np.min, np.max))
    span = high - low or 1.0
    whole = np.where(known, np.rint((np.where(known, values, low) - low) / span * (_GAP - 1)), _GAP)
    data = base64.b64encode(whole.astype("<u2").tobytes()).decode("ascii")
    return {"low": low, "high": low + span, "data": data}


def _curves(curves: ItemCurves) -> dict[str, Any]:
    return {
        "title": curves.title,
        "x": [float(x) for x in curves.x],
        "xTitle": curves.x_title,
        "yTitle": curves.y_title,
        "levels": list(curves.levels),
        "bars": curves.bars,
        "series": [
            {"name": name, "colour": curves.colours.get(name), **packed(np.asarray(values))}
            for name, values in curves.series.items()
        ],
    }


def _tokens(items: ItemTokens) -> dict[str, Any]:
    vocabulary: dict[str, int] = {}
    numbers = [
        vocabulary.setdefault(token, len(vocabulary)) for text in items.tokens for token in text
    ]
    return {
        "vocabulary": list(vocabulary),
        "numbers": base64.b64encode(np.array(numbers, "<u4").tobytes()).decode("ascii"),
        "lengths": [len(text) for text in items.tokens],
        "marks": {name: list(at) for name, at in items.marks.items()},
        "colours": None if items.colours is None else _colours(items.colours),
    }


def _colours(colours: TokenColours) -> dict[str, Any]:
    return {
        "title": colours.title,
        "explanation": colours.explanation,
        "unit": colours.unit,
        "missing": colours.missing,
        "series": [
            {
                "name": name,
                "counts": [0 if each is None else len(each) for each in values],
                **packed(np.concatenate([np.zeros(0), *(e for e in values if e is not None)])),
            }
            for name, values in colours.values.items()
        ],
    }


def _cell(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
