from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.segments import scale_inputs
from workbench.elicit.segments import ANSWER, CONFIDENCE, QUESTION, Segment
from workbench.experiments.patching_maps.maps import (
    PatchingMap,
    layer_bands,
    moves,
    patching_map,
    random_token,
    readouts,
    spaced_layers,
)
from workbench.models import LanguageModel
from workbench.patch.branches import layer_sites
from workbench.patch.effect_map import Axis, EffectMap
from workbench.patch.inputs import DonorPairs
from workbench.patch.segments import pair_half_ranks_apart
from workbench.pipeline.store import StageStore

BATCHES = [np.array([2, 0]), np.array([1, 3])]


def test_a_map_with_its_floor_comes_back_from_the_store(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    inputs, reading, parts = scale_inputs(tiny_lm)
    stage = StageStore(tmp_path / "atlas", "key")
    stage.begin()
    stated = readouts(stage, inputs, reading, BATCHES, "stated")
    partner = pair_half_ranks_apart(stated)
    pairing = DonorPairs(inputs, inputs, partner, stated, BATCHES, reading)
    chosen = [parts[ANSWER], parts[CONFIDENCE]]
    axes = (Axis("layer", (0, 3)), Axis("part", (ANSWER, CONFIDENCE)))
    # The question is another one in every row, so its last token moves something; the answer's
    # first does not at the last layer.
    control_token = random_token([parts[QUESTION]], "control", 0)
    found = patching_map(
        stage, pairing, layer_sites([0, 3]), chosen, axes, "positions", control_token
    )
    table = found.table(resamples=100, seed=0).set_index(["layer", "part"])
    assert table.loc[(3, CONFIDENCE), "shift"] == pytest.approx(1, abs=1e-3)
    assert table.loc[(3, ANSWER), "shift"] == pytest.approx(0, abs=1e-3)
    assert 0 <= found.floor() < 1e-3
    assert (table["floor"] == found.floor()).all()
    assert (table["control"] == found.control()).all()
    assert found.control() > 10 * found.floor()
    at_last = found.control_token[:, 1] - found.effects.base
    assert np.abs(at_last).max() < 1e-4
    again = patching_map(
        stage,
        # What is finished needs no model.
        DonorPairs(None, None, partner, stated, BATCHES, None),  # type: ignore[arg-type]
        layer_sites([0, 3]),
        chosen,
        axes,
        "positions",
        control_token,
    )
    assert np.array_equal(again.effects.patched, found.effects.patched)
    assert np.array_equal(again.own, found.own)
    assert np.array_equal(again.control_token, found.control_token)


def test_the_floor_is_a_shift_on_the_maps_own_distances() -> None:
    base, donor = np.array([0.0, 0.0]), np.array([0.2, 0.6])
    effects = EffectMap((Axis("layer", (0,)),), base, donor, donor[:, None])
    found = PatchingMap(effects, np.array([[0.02, 0.0], [0.02, -0.04]]), np.array([[0.0], [-0.2]]))
    assert found.floor() == pytest.approx(0.02 / 0.4)
    assert found.item_floor() == pytest.approx(0.04)
    assert found.control() == pytest.approx(0.1 / 0.4)


def test_moves_are_towards_the_donor() -> None:
    distance, moved = moves(np.array([0.5, 0.5]), np.array([0.7, 0.2]), np.array([[0.6], [0.4]]))
    assert distance == pytest.approx([0.2, 0.3])
    assert moved.ravel() == pytest.approx([0.1, 0.1])


def test_layers_thinned_and_in_bands() -> None:
    assert spaced_layers(30, 4) == [0, 10, 19, 29]
    assert spaced_layers(3, 8) == [0, 1, 2]
    bands = layer_bands(30)
    assert [list(bands[name]) for name in ("early", "middle", "late")] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 30)),
    ]
    assert list(bands["all"]) == list(range(30))


def test_a_drawn_token_lies_within_its_parts() -> None:
    parts = [Segment("a", (3,) * 200, (4,) * 200), Segment("b", (5,) * 200, (7,) * 200)]
    drawn = random_token(parts, "control", 0)
    assert drawn.starts == drawn.ends
    assert set(drawn.starts) == {3, 4, 5, 6, 7}
    assert drawn == random_token(parts, "control", 0)
