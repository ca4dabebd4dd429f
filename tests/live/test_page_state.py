"""What the page keeps is read back as it was, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.live.page_state import read_state

SWAP = {"kind": "swap", "layer": 2, "position": 9, "component": "heads", "head": 1}
STATE: dict[str, Any] = {
    "base": {"kind": "text", "text": "a 1", "model": "base"},
    "donor": {"kind": "chat", "turns": [{"role": "user", "content": "a 2"}], "model": "base"},
    "read": {"kind": "texts", "first": "1", "second": None},
    "component": "resid_post",
    "over": "head",
    "range": [3, 9],
    "layer": 2,
    "place": 9,
    "head": 1,
    "opened": {"view": "outcome", "change": SWAP},
}


@pytest.mark.parametrize(
    "opened",
    [
        None,
        {"view": "generate", "change": {**SWAP, "head": None}},
        {"view": "slider", "layer": 1, "position": 9, "direction": "probe", "length": 3},
        {"view": "slider", "layer": 1, "position": 9, "direction": "difference", "length": "out"},
    ],
)
def test_what_is_kept_is_read_back(opened: Any) -> None:
    state = {**STATE, "opened": opened}
    assert read_state(state) == json.loads(json.dumps(state))
    assert read_state({}) == {}


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"range": [3]}, "range"),
        ({"range": [-1, 3]}, "range"),
        ({"base": {"kind": "text", "text": 3}}, "base"),
        ({"over": "everything"}, "over"),
        ({"opened": {"view": "curve"}}, "opened"),
        ({"more": 1}, "more"),
    ],
)
def test_anything_else_is_refused_by_its_place(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(WorkbenchError, match=rf"state of a live bench at {place}"):
        read_state({**STATE, **wrong})


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="state of a live bench;"):
        read_state({"base": object()})
