"""Every view gives the library's numbers, and the Python it shows gives them again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from peft.tuners.lora import LoraLayer

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.live.requests import read_view
from workbench.live.session import Session
from workbench.live.views import view_lines

READ = {"kind": "texts", "first": "1", "second": "2"}
SCALE = {"kind": "scale", "format": None}
SWAP = {"kind": "swap", "layer": 1, "position": 11}


def lines(session: Session, **request: Any) -> list[dict[str, Any]]:
    """All lines of a view, through JSON in both directions."""
    found = list(view_lines(session, read_view(json.dumps(request).encode())))
    return json.loads(json.dumps(found, allow_nan=False))


def executed(code: str) -> Any:
    """``value`` after the code of a view."""
    names: dict[str, Any] = {}
    exec(compile(code, "view", "exec"), names)
    return names["value"]


def test_a_curve_is_the_sweep_and_its_code_gives_it_again(
    session: Session, pair: dict[str, Any]
) -> None:
    last = lines(session, view="curve", pair=pair, read=READ, position=9)[-1]
    texts = [pair[side]["text"] for side in ("base", "donor")]
    found = wb.sweep(session.lm, texts[0], texts[1], read=("1", "2"), at=9)
    assert last["value"] == pytest.approx(found.patched[0].tolist(), abs=1e-6)
    assert {each["name"] for each in last["conditions"]} == {part.name for part in found.conditions}
    assert np.ptp(last["value"]) > 1e-3
    assert executed(last["code"]) == pytest.approx(last["value"], abs=1e-5)


@pytest.mark.parametrize("over", ["position", "head", "component"])
def test_a_grid_ends_in_true_patches_of_every_cell(
    session: Session, pair: dict[str, Any], over: str
) -> None:
    first, *cells, last = lines(
        session, view="grid", pair=pair, read=READ, positions=[8, 9, 10], over=over
    )
    assert first["kind"] == "estimate"
    assert [line["share"] for line in cells] == sorted(line["share"] for line in cells)
    assert cells[-1]["share"] == 1
    assert sorted(layer for line in cells for layer in line["layers"]) == [0, 1, 2, 3]
    value = np.array(last["value"])
    assert value.shape == np.array(first["values"]).shape
    assert executed(last["code"]) == pytest.approx(value, abs=1e-5)
    assert np.corrcoef(value.ravel(), np.ravel(first["values"]))[0, 1] > 0.5


@pytest.mark.parametrize(
    "change",
    [
        SWAP,
        SWAP | {"component": "heads", "head": 2},
        SWAP | {"component": "values"},
        {"kind": "steer", "layer": 2, "position": 11, "direction": "difference", "length": 1.5},
        {"kind": "project", "layer": 2, "position": 10, "direction": "difference"},
    ],
)
def test_the_distribution_under_a_change(
    session: Session, pair: dict[str, Any], change: dict[str, Any]
) -> None:
    (line,) = lines(session, view="outcome", pair=pair, read=READ, change=change)
    assert line["value"] != pytest.approx(line["base"], abs=1e-6)
    assert executed(line["code"]) == pytest.approx(line["value"], abs=1e-5)
    (generated,) = lines(session, view="generate", pair=pair, change=change, tokens=3)[-1:]
    assert executed(generated["code"]) == generated["value"]


def test_a_swap_is_the_cell_of_the_map(session: Session, pair: dict[str, Any]) -> None:
    (line,) = lines(session, view="outcome", pair=pair, read=READ, change=SWAP)
    found = wb.patch_map(
        session.lm, pair["base"]["text"], pair["donor"]["text"],
        read=("1", "2"), at=11, layers=[1], over="layer", controls=False,
    )  # fmt: skip
    assert line["value"] == pytest.approx(float(found.patched[0, 0]), abs=1e-5)


def test_the_whole_difference_is_the_swap_and_no_length_changes_nothing(
    session: Session, pair: dict[str, Any]
) -> None:
    (moved,) = lines(
        session, view="slider", pair=pair, read=READ, layer=1, position=11,
        direction="difference", lengths=[0.0, 1.0, 2.0],
    )  # fmt: skip
    (swapped,) = lines(session, view="outcome", pair=pair, read=READ, change=SWAP)
    assert moved["value"][0] == pytest.approx(moved["base"], abs=1e-5)
    assert moved["value"][1] == pytest.approx(swapped["value"], abs=1e-4)
    assert np.array(moved["random"])[:, 0] == pytest.approx(moved["base"], abs=1e-5)
    assert executed(moved["code"]) == pytest.approx(moved["value"], abs=1e-4)


def test_a_run_shows_its_scale_its_tuned_model_and_its_probe(
    run_session: Session, asked: dict[str, Any]
) -> None:
    words = lines(run_session, view="tokens", pair=asked)[0]
    last = len(words["base"]) - 1
    curve = lines(run_session, view="curve", pair=asked, read=SCALE, position=last)[-1]
    assert curve["value"][-1] == pytest.approx(curve["donor"], abs=0.05)
    assert executed(curve["code"]) == pytest.approx(curve["value"], abs=1e-5)
    change = {"kind": "swap", "layer": 2, "position": last}
    (swapped,) = lines(run_session, view="outcome", pair=asked, read=SCALE, change=change)
    assert len(swapped["texts"]) == 101
    assert executed(swapped["code"]) == pytest.approx(swapped["value"], abs=1e-5)
    (moved,) = lines(
        run_session, view="slider", pair=asked, read=SCALE, layer=2, position=last,
        direction="probe", lengths=[-1.0, 1.0],
    )  # fmt: skip
    assert executed(moved["code"]) == pytest.approx(moved["value"], abs=1e-5)
    assert moved["unit"] > 0


def test_between_two_tokens_the_tuned_model_has_its_adapter(
    run_session: Session, asked: dict[str, Any]
) -> None:
    """In a notebook, cells and other views are run between the lines of one."""
    words = lines(run_session, view="tokens", pair=asked)[0]
    request = {
        "view": "generate", "pair": asked, "tokens": 3,
        "change": {"kind": "swap", "layer": 2, "position": len(words["base"]) - 1},
    }  # fmt: skip
    written = view_lines(run_session, read_view(json.dumps(request).encode()))
    layers = [m for m in run_session.lm.model.modules() if isinstance(m, LoraLayer)]
    off = [[layer.disable_adapters for layer in layers] for _ in written]
    assert len(off) > 1
    assert off == [[False] * len(layers)] * len(off)


def test_the_tuned_model_is_patched_with_states_of_the_base(
    run_session: Session, asked: dict[str, Any]
) -> None:
    turned = {"base": asked["donor"], "donor": asked["base"]}
    words = lines(run_session, view="tokens", pair=asked)[0]
    last = len(words["base"]) - 1
    there = lines(run_session, view="curve", pair=asked, read=SCALE, position=last)[-1]
    back = lines(run_session, view="curve", pair=turned, read=SCALE, position=last)[-1]
    assert (back["base"], back["donor"]) == pytest.approx((there["donor"], there["base"]), abs=1e-5)
    assert executed(back["code"]) == pytest.approx(back["value"], abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"position": 900}, "no token 900"),
        ({"read": {"kind": "texts", "first": "12", "second": None}}, "is 2 tokens"),
        ({"read": SCALE}, "Only a run has a format"),
        ({"pair": "same"}, "Both sides are the same"),
        ({"pair": "tuned"}, "Only a run has a tuned model"),
    ],
)
def test_what_cannot_be_shown_is_said(
    session: Session, pair: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    pairs = {
        "same": {"base": pair["base"], "donor": pair["base"]},
        "tuned": {"base": pair["base"], "donor": pair["base"] | {"model": "tuned"}},
    }
    request = {"view": "curve", "pair": pair, "read": READ, "position": 3} | change
    request["pair"] = pairs.get(str(request["pair"]), request["pair"])
    with pytest.raises(WorkbenchError, match=said):
        lines(session, **request)
