from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.report.explorer import (
    VARIABLE,
    Explorer,
    ExplorerColumn,
    ItemCurves,
    ItemTokens,
    packed,
    write_explorer,
)

NASTY = "</script><script>alert(1)</script>\u2028"


def explorer(**changes: Any) -> Explorer:
    parts: dict[str, Any] = {
        "title": "t",
        "explanation": "e",
        "columns": [ExplorerColumn("question", "text"), ExplorerColumn("probe", "percent")],
        "rows": [[NASTY, np.float64(0.123456)], ["b", float("nan")]],
        "texts": {"right answers": ["x", "y"]},
        "tokens": ItemTokens([["a", "b", "a"], ["c"]], {"confidence position": [2, None]}),
        "curves": [
            ItemCurves("c", np.arange(2.0), {"s": np.array([[0, 1], [np.nan, 0.5]])}, "x", "y")
        ],
    }
    return Explorer(**(parts | changes))


def content(text: str) -> Any:
    head = f"window.{VARIABLE} = "
    assert text.startswith(head)
    assert text.endswith(";\n")
    return json.loads(text.removeprefix(head)[:-2])


def unpacked(one: dict[str, Any]) -> np.ndarray:
    """Decode as the page does."""
    whole = np.frombuffer(base64.b64decode(one["data"]), "<u2").astype(float)
    values = one["low"] + whole / 65534 * (one["high"] - one["low"])
    return np.where(whole == 65535, np.nan, values)


def test_numbers_come_back_to_a_65534th_of_their_range() -> None:
    values = np.random.default_rng(0).normal(size=(40, 7))
    values[3, 2] = np.nan
    back = unpacked(packed(values)).reshape(values.shape)
    assert np.array_equal(np.isnan(back), np.isnan(values))
    span = np.nanmax(values) - np.nanmin(values)
    assert np.nanmax(np.abs(back - values)) <= span / 65534


@pytest.mark.parametrize("values", [np.full((2, 2), 0.25), np.full((2, 2), np.nan)])
def test_constant_and_missing_numbers_come_back(values: np.ndarray) -> None:
    assert np.array_equal(unpacked(packed(values)).reshape(2, 2), values, equal_nan=True)


def test_the_script_holds_the_items() -> None:
    text = write_explorer(explorer())
    found = content(text)
    assert found["rows"] == [[NASTY, 0.1235], ["b", None]]
    assert text.isascii()
    tokens = found["tokens"]
    numbers = np.frombuffer(base64.b64decode(tokens["numbers"]), "<u4")
    assert [tokens["vocabulary"][at] for at in numbers] == ["a", "b", "a", "c"]
    assert (tokens["lengths"], tokens["marks"]) == ([3, 1], {"confidence position": [2, None]})
    assert np.array_equal(
        unpacked(found["curves"][0]["series"][0]), [0, 1, np.nan, 0.5], equal_nan=True
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"texts": {"right answers": ["x"]}}, "text 'right answers' has 1 items for 2 rows"),
        ({"tokens": ItemTokens([["a"]], {})}, "tokens has 1 items for 2 rows"),
        ({"rows": []}, "has 2 items for 0 rows"),
    ],
)
def test_parts_of_another_length_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(WorkbenchError, match=named):
        explorer(**changes)
