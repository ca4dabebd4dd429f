"""A curve comes at a few layers with all its controls first, and ends as the sweep over all."""

from __future__ import annotations

import json
from typing import Any

import pytest

import workbench as wb
from workbench.errors import WorkbenchError
from workbench.live import curve
from workbench.live.curve import FIRST_TOKENS, KINDS, LATER_TOKENS, layer_groups
from workbench.live.requests import read_view
from workbench.live.session import Session
from workbench.live.views import view_lines


def lines(session: Session, pair: dict[str, Any], position: int) -> list[dict[str, Any]]:
    request = {
        "view": "curve",
        "pair": pair,
        "read": {"kind": "texts", "first": "1", "second": "2"},
        "position": position,
    }
    return list(view_lines(session, read_view(json.dumps(request).encode())))


@pytest.mark.parametrize("branch", [1, 5, 6, 16, 46, 300])
def test_every_layer_comes_once_and_a_line_keeps_to_its_tokens(branch: int) -> None:
    first, *later = layer_groups(30, branch)
    assert sorted(first + [layer for group in later for layer in group]) == list(range(30))
    assert {0, 29} <= {*first}
    if later:
        assert KINDS * branch * len(first) <= FIRST_TOKENS or len(first) == 2
        assert all(2 * branch * len(group) <= LATER_TOKENS or len(group) == 1 for group in later)
        assert all(group == sorted(group) for group in later)


def test_layers_of_thirty_at_sixteen_tokens() -> None:
    first, *later = layer_groups(30, 16)
    assert first == [0, 10, 19, 29]
    assert [len(group) for group in later] == [13, 13]
    assert layer_groups(30, 5) == [list(range(30))]


def test_lines_add_up_to_the_sweep_over_all_layers(
    session: Session, pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Effects and random vectors are the sweep's own; the other controls stay at the first
    layers, and say so.
    """
    monkeypatch.setattr(curve, "WHOLE_TOKENS", 0)
    monkeypatch.setattr(curve, "FIRST_TOKENS", 0)
    monkeypatch.setattr(curve, "LATER_TOKENS", 0)
    found = lines(session, pair, 9)
    assert [line["complete"] for line in found] == [False, False, True]
    whole = wb.sweep(session.lm, pair["base"]["text"], pair["donor"]["text"], read=("1", "2"), at=9)
    for name in ("donor", "random_vector"):
        (part,) = [each for each in found[-1]["conditions"] if each["name"] == name]
        assert part["layers"] == [0, 1, 2, 3]
        assert part["values"] == pytest.approx(whole.condition(name).patched[0].tolist(), abs=1e-5)
    for line in found:
        read = {each["name"]: each["layers"] for each in line["conditions"]}
        assert read["donor"] == read["random_vector"]
        assert ({*read} == {part.name for part in whole.conditions}) == line["complete"]
        assert (line["floor"] is not None) == line["complete"]
    assert read["random_position"] == read["own_state"] == [2]
    names: dict[str, Any] = {}
    exec(found[-1]["code"], names)
    assert names["value"] == pytest.approx(found[-1]["value"], abs=1e-5)


def test_controls_are_read_by_name(session: Session, pair: dict[str, Any]) -> None:
    texts = [pair[side]["text"] for side in ("base", "donor")]
    for controls, names in (
        (False, {"donor"}),
        ("random_vector", {"donor", "random_vector"}),
        (["own_state", "random_position"], {"donor", "own_state", "random_position"}),
    ):
        found = wb.sweep(session.lm, *texts, read=("1", "2"), at=9, controls=controls)
        assert {part.name for part in found.conditions} == names
    with pytest.raises(WorkbenchError, match="Name controls of random_vector"):
        wb.sweep(session.lm, *texts, read=("1", "2"), at=9, controls=["noise"])


def test_a_random_vector_is_the_same_whichever_layers_are_swept(
    session: Session, pair: dict[str, Any]
) -> None:
    texts = [pair[side]["text"] for side in ("base", "donor")]
    for component in ("resid_post", "mlp_out", "heads"):
        whole, some = (
            wb.sweep(session.lm, *texts, read=("1", "2"), at=9, component=component, layers=layers)
            .condition("random_vector")
            .patched[0]
            for layers in ([0, 1, 2, 3], [1, 3])
        )
        assert some == pytest.approx(whole[[1, 3]], abs=1e-5)
