from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.hub.readers import (
    json_list,
    literal,
    names,
    path,
    place,
    text_after,
    texts,
    values,
)

ROW = {
    "a": {"b": {"c": 3}, "none": None},
    "list": ["x", " y ", "x", "", None],
    "options": {"A": "u", "B": None, "C": "v"},
}


def test_paths_walk_into_structs() -> None:
    assert path("a.b.c").read(ROW) == 3
    assert path("a.b.c").columns == ("a",)
    with pytest.raises(KeyError):
        path("a.x").read(ROW)


def test_texts_joins_values_and_lists_once_each() -> None:
    reader = texts(path("a.b.c"), path("list"), path("a.none"), literal("x"))
    assert reader.read(ROW) == ["3", "x", "y"]
    assert reader.columns == ("a", "list")


def test_names_and_values_of_filled_fields() -> None:
    assert names(path("options")).read(ROW) == ["A", "C"]
    assert values(path("options")).read(ROW) == ["u", "v"]


def test_place_counts_exactly_one() -> None:
    assert place(literal("C"), names(path("options"))).read(ROW) == 1
    assert place(path("a.b.c"), literal((1, 3))).columns == ("a",)
    with pytest.raises(WorkbenchError, match="'x' occurs 2 times"):
        place(literal("x"), path("list")).read(ROW)
    with pytest.raises(WorkbenchError, match="'B' occurs 0 times"):
        place(literal("B"), names(path("options"))).read(ROW)


def test_behind_takes_what_follows_the_last_mark() -> None:
    assert text_after(literal("a #### 1 #### 2,000 "), "####").read({}) == "2,000"
    with pytest.raises(WorkbenchError, match="there is no '####'"):
        text_after(literal("2,000"), "####").read({})


@given(st.lists(st.text(), max_size=5))
def test_json_lists_come_back(items: list[str]) -> None:
    assert json_list(path("t")).read({"t": json.dumps(items)}) == items


@pytest.mark.parametrize("text", ["[1", None, "x"])
def test_what_is_no_json_is_named(text: str | None) -> None:
    with pytest.raises(WorkbenchError, match="is not a JSON list"):
        json_list(path("t")).read({"t": text})
