from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.api.results import PatchMap, Readings, Role
from workbench.arrays import Floats
from workbench.experiments.known_circuits.maps import load_map, save_map
from workbench.experiments.known_circuits.results import (
    CHOSEN_HEADS,
    measure_behaviour,
    measure_direction,
    measure_heads,
    third_of,
)
from workbench.measure import Bootstrap
from workbench.patch.effect_map import Axis
from workbench.pipeline.stage_store import StageStore

DRAW = Bootstrap(200, 0)
LAYERS, PLACES, PAIRS = (0, 1, 2), ("subject", "last"), 8


def readings(name: str, role: Role, moved: Floats, axes: tuple[Axis, ...]) -> Readings:
    """Pairs that read 1 to 8 and whose donors read 10 less, each cell moved by a share of it."""
    base = np.arange(1.0, PAIRS + 1)
    shape = (-1, *[1] * len(axes))
    patched = np.broadcast_to(base.reshape(shape) - 10 * moved, (PAIRS, *moved.shape[-len(axes) :]))
    return Readings(name, role, axes, base, base - 10, np.array(patched))


def by_place(name: str, role: Role, shift: list[list[float]]) -> Readings:
    return readings(name, role, np.array(shift), (Axis("layer", LAYERS), Axis("position", PLACES)))


def planted() -> PatchMap:
    """The subject carries all in the first two layers, the last token in the last."""
    effect = by_place("donor", "effect", [[1, 0], [0.75, 0.25], [0, 1]])
    control = by_place("random_vector", "control", [[0.1, 0], [0.1, 0], [0, -0.3]])
    floor = by_place("own_state", "floor", [[0, 0], [0, 0], [0, 1e-6]])
    return PatchMap("r", "w", (effect, control, floor))


def test_where_an_effect_was_planted_it_is_found() -> None:
    estimated = PatchMap("r", "w", (by_place("estimate", "effect", [[2, 0], [1, 0.5], [0, 2]]),))
    found = measure_direction(planted(), estimated, "subject", 3, DRAW)
    shifts = {
        (place, third): found.shift("donor", place, third)
        for place in PLACES
        for third in ("early", "middle", "late")
    }
    assert {key: one and one.value for key, one in shifts.items()} == pytest.approx(
        {
            ("subject", "early"): 1, ("subject", "middle"): 0.75, ("subject", "late"): 0,
            ("last", "early"): 0, ("last", "middle"): 0.25, ("last", "late"): 1,
        }
    )  # fmt: skip
    assert found.crossing.value == 2
    assert (found.crossing.low, found.crossing.high) == (2, 2)
    largest = found.largest("random_vector")
    assert largest is not None
    assert largest.value == pytest.approx(-0.3)
    assert found.largest("random_position") is None
    assert found.shift("donor", "elsewhere", "early") is None
    # Means (2, 0, 1, 0.5, 0, 2) against (1, 0, .75, .25, 0, 1): the same order, ties included.
    assert found.spearman.value == pytest.approx(1)
    assert found.slope.value == pytest.approx((2 + 0.75 + 0.125 + 2) / (4 + 1 + 0.25 + 4))


def test_heads_are_chosen_on_every_other_pair_and_measured_on_the_rest() -> None:
    """One head moves all pairs by 0.5; another only those on which heads are chosen, by 3."""
    axes = (Axis("layer", (0, 1)), Axis("head", (0, 1, 2, 3)))
    moved = np.zeros((PAIRS, 2, 4))
    moved[:, 1, 2] = 0.5
    moved[::2, 0, 1] = 3
    patched = PatchMap("r", "w", (readings("donor", "effect", moved, axes),))
    there = readings(
        "estimate", "effect", moved[..., None] * [0, 1], (*axes, Axis("position", PLACES))
    )
    found = measure_heads(patched, PatchMap("r", "w", (there,)), pd.DataFrame(), DRAW)
    assert len(found.chosen) == CHOSEN_HEADS
    first, second = found.chosen.to_dict("records")[:2]
    assert (first["layer"], first["head"], first["shift"]) == (0, 1, 0)
    assert (second["layer"], second["head"]) == (1, 2)
    assert second["shift"] == pytest.approx(0.5)
    assert second["pairs"] == PAIRS // 2
    assert found.chosen_sum.value == found.every_sum.value == pytest.approx(0.5)
    assert (found.spearman.value, found.slope.value) == pytest.approx((1, 1))


def test_behaviour_counts_who_reads_its_own_side() -> None:
    pairs = pd.DataFrame({"prompt_right": [True, True, False, True], "donor_right": [False] * 4})
    prompt, donor = np.array([2.0, 1.0, -1.0, 2.0]), np.array([-1.0, -3.0, 1.0, 0.0])
    found = measure_behaviour(pairs, prompt, donor, DRAW)
    assert found["prompt_prefers"].value == found["prompt_right"].value == 0.75
    assert found["donor_prefers"].value == 0.5
    assert found["donor_right"].value == 0
    assert found["prompt_reading"].value == 1
    assert found["donor_reading"].value == -0.75
    assert 0.29 < found["prompt_prefers"].low < 0.31  # Wilson, 3 of 4


def test_thirds_of_thirty_and_of_four_layers() -> None:
    assert [third_of(layer, 30) for layer in (0, 9, 10, 19, 20, 29)] == [
        "early", "early", "middle", "middle", "late", "late",
    ]  # fmt: skip
    assert [third_of(layer, 4) for layer in range(4)] == ["early", "early", "middle", "late"]


def test_a_map_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    stage = StageStore(tmp_path / "stage", "key")
    stage.begin()
    stage.finish({"map": save_map(stage, "map", planted())})
    again = load_map(StageStore(tmp_path / "stage", "key"), "map")
    pd.testing.assert_frame_equal(again.table(), planted().table())
    assert [part.role for part in again.conditions] == ["effect", "control", "floor"]
    assert again.noise_floor == planted().noise_floor
