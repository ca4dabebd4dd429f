from __future__ import annotations

import pytest

from workbench.bench import growth as room
from workbench.bench.growth import growth, layer_counts, row_counts, spread_layers
from workbench.bench.libraries import hooked_loop
from workbench.models import LanguageModel


@pytest.mark.parametrize(("depth", "counts"), [(30, [8, 16, 30]), (4, [4]), (40, [8, 16, 30, 40])])
def test_layers_end_at_the_models_depth(depth: int, counts: list[int]) -> None:
    assert layer_counts(depth) == counts


def test_rows_double_up_to_the_batch() -> None:
    assert [row_counts(rows) for rows in (1, 2, 6, 8)] == [[1], [1, 2], [1, 2, 4, 6], [1, 2, 4, 8]]


def test_layers_are_spread_and_the_last_is_among_them() -> None:
    assert spread_layers(8, 4) == [1, 3, 5, 7]
    assert spread_layers(30, 30) == list(range(30))


def test_points_of_every_axis_and_method(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "TOKENS", (8, 16, 1024))
    points = growth(tiny_lm, {"loop": hooked_loop(tiny_lm)}, rows=2, tokens=12, repeats=1)
    places = [(point.axis, point.at, point.method, point.estimated) for point in points]
    # 1024 tokens are more than the model takes.
    at = [("layers", 4), ("tokens", 8), ("tokens", 16), ("rows", 1), ("rows", 2)]
    assert places == [(*place, *how) for place in at for how in (("packed", False), ("loop", True))]
    assert all(point.over_forward > 0 for point in points)


def test_the_estimate_is_the_line_through_one_and_a_few(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library of 5 seconds and 2 more a branch, over a forward of 2: four layers cost (5 + 4 * 2)
    / 2.
    """
    monkeypatch.setattr(
        room, "alternate", lambda methods, repeats: {"forward": [2.0], "packed": [3.0]}
    )
    monkeypatch.setattr(
        room, "runs", lambda sweep, bench_inputs, branches: 5.0 + 2.0 * len(branches)
    )
    monkeypatch.setattr(room, "seconds", lambda cost: cost)
    monkeypatch.setattr(room, "TOKENS", ())
    points = growth(tiny_lm, {"loop": hooked_loop(tiny_lm)}, rows=1, tokens=6, repeats=1)
    assert [point.over_forward for point in points] == [1.5, 6.5, 1.5, 6.5]
