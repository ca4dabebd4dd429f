from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.elicit.conversation import POSITIONS
from workbench.experiments.steering.read import (
    BASE,
    NOTHING,
    PROBE,
    SteeringPlan,
    make_pushes,
    plan_steering,
    steered_confidence,
)
from workbench.loop.run import Run
from workbench.patch.steering import spread_of
from workbench.pipeline.store import StageStore

PLAN = SteeringPlan(layers=(1, 2), lengths=(-1.0, 2.0), random=1, items=12)


def stage_in(folder: Path) -> StageStore:
    stage = StageStore(folder / "steering", "key")
    stage.begin()
    return stage


def test_the_unsteered_model_reads_as_the_run_read_it(context: Run, tmp_path: Path) -> None:
    table = steered_confidence(context, PLAN, stage_in(tmp_path))
    assert table.groupby(["direction", "layer", "length"]).size().tolist() == [12] * 11
    base = table[table["direction"] == BASE].set_index("row")
    read = context.stage("elicit").table("confidence").set_index("row").loc[base.index]
    np.testing.assert_allclose(base["expected"], read["expected"], atol=1e-4)
    questions = context.stage("questions").table("questions").set_index("row")
    assert set(questions.loc[base.index, "split"]) == {"test"}
    assert table["expected"].between(0, 1).all()
    still = table[table["direction"] == NOTHING]
    assert sorted(still["layer"].unique()) == [1, 2]
    np.testing.assert_allclose(still["expected"], base["expected"].loc[still["row"]], atol=1e-5)


def test_a_push_along_the_probe_moves_the_probes_reading_by_its_length(context: Run) -> None:
    """The direction's own log-odds rise by length times spread times the norm of its weights."""
    pushes, names = make_pushes(context, PLAN)
    at = POSITIONS.index("confidence")
    weights = context.stage("probe").tensors("probe")["weights"]
    questions = context.stage("questions").table("questions")
    states = context.stage("elicit").tensors("readings")["states"][questions["split"] == "train"]
    assert len(names) == len(pushes) + 1
    for push, name in zip(pushes, names.to_dict("records")[1:], strict=True):
        spread = spread_of(states[:, push.layer, at])
        assert float(push.vector.norm()) == pytest.approx(abs(name["length"]) * spread, rel=1e-5)
        along = weights[push.layer, at]
        if name["direction"] == PROBE:
            expected = name["length"] * spread * np.linalg.norm(along)
            assert float(push.vector.numpy() @ along) == pytest.approx(expected, rel=1e-4)


def test_layers_are_spread_between_the_ends_and_lengths_tried_either_way() -> None:
    plan = plan_steering(30, layers=4, lengths=(0.5, 2.0), random=3, items=7)
    assert plan == SteeringPlan((6, 12, 17, 23), (-2.0, -0.5, 0.5, 2.0), 3, 7)
    assert plan_steering(3, layers=4, lengths=(1.0,), random=1, items=7).layers == (0, 1, 2)
