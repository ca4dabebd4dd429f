from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workbench.elicit.segments import AFTER_ANSWER as AFTER
from workbench.elicit.segments import ANSWER, CONFIDENCE, QUESTION, Segment
from workbench.experiments.gathered_confidence.cut_edges import (
    edge_sets,
    of_rows,
    whole_branches,
    window_cuts,
    windows_of,
)
from workbench.trace import AttentionKnockout

PARTS = {
    QUESTION: Segment(QUESTION, (6, 6), (9, 8)),
    ANSWER: Segment(ANSWER, (12, 11), (14, 11)),
    AFTER: Segment(AFTER, (15, 12), (15, 12)),
    CONFIDENCE: Segment(CONFIDENCE, (19, 16), (19, 16)),
}


@pytest.fixture
def held() -> Any:
    tree = SimpleNamespace(size=2)
    reading = SimpleNamespace(metric=SimpleNamespace(tree=tree))
    return SimpleNamespace(part=lambda name: PARTS[name], reading=reading)


def test_the_named_tokens_are_cut_off(held: Any) -> None:
    sets = edge_sets(held, 0)
    assert sets["after_answer"].queries.tolist() == [[15], [12]]
    assert sets["after_answer"].keys.tolist() == [[12, 13, 14], [11, 11, 11]]
    assert sets["number_after"].queries.tolist() == [[19, 20, 21], [16, 17, 18]]
    assert sets["number_after"].keys.tolist() == [[15], [12]]
    assert sets["number_question"].keys.tolist() == [[6, 7, 8, 9], [6, 6, 7, 8]]
    readers = [[16, 17, 18, 19, 20, 21], [13, 14, 15, 16, 17, 18]]
    assert sets["readers_answer"].queries.tolist() == readers
    assert sets["readers_after"].keys.tolist() == [[15], [12]]


def test_controls_are_other_tokens_of_equal_number(held: Any) -> None:
    for seed in range(20):
        for each in edge_sets(held, seed).values():
            for row, taken in enumerate(([0, 12, 13, 14, 15], [0, 11, 12])):
                drawn, keys = each.control[row].tolist(), each.keys[row].tolist()
                assert not {*drawn} & {*taken, *keys}
                assert len({*drawn}) == len({*keys})
                assert max(drawn) < int(each.queries[row].min())


def test_branches_are_cuts_in_all_layers_a_third_and_windows(held: Any) -> None:
    sets = edge_sets(held, 0)
    whole = whole_branches(sets, 6, 0)
    layers = {name: branch[0].layers for name, branch in whole.items()}  # type: ignore[union-attr]
    assert layers["number_after"] == layers["after_answer_control"] == (0, 1, 2, 3, 4, 5)
    assert layers["number_after_late"] == (4, 5)
    assert {len(layers[f"number_after_random_layers {draw}"]) for draw in range(3)} == {2}
    assert windows_of(30, 3) == [tuple(range(a, a + 6)) for a in (0, 12, 24)]
    assert windows_of(4, 9) == [(0,), (1,), (2,), (3,)]
    cuts = window_cuts(sets, ["number_after"], [(0, 1), (1, 2)])
    assert list(cuts) == [
        "number_after 0",
        "number_after 1",
        "number_after_control 0",
        "number_after_control 1",
    ]
    ((one,),) = of_rows({"x": cuts["number_after_control 1"]}, [1])
    assert isinstance(one, AttentionKnockout)
    assert (one.layers, one.queries.tolist()) == ((1, 2), [[16, 17, 18]])
    assert one.keys.tolist() == sets["number_after"].control[1:].tolist()
