from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.conversation import POSITIONS, QUESTION_END
from workbench.errors import WorkbenchError
from workbench.loop.confidence import elicit, elicit_tuned
from workbench.loop.positions import run_positions
from workbench.loop.probes import probe_after, probe_before
from workbench.loop.run import Run
from workbench.loop.states import question_end_states, shard_layout, states_of_stage
from workbench.loop.targets import states_of
from workbench.pipeline.store import RunStore, StageStore
from workbench.states.recorded import RecordedStates
from workbench.teach.heads import POSITION

WORK = {"elicit": elicit, "probe": probe_before, "elicit_tuned": elicit_tuned}


@pytest.fixture(scope="module")
def sharded(context: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run with its states in shards, read and probed anew."""
    folder = tmp_path_factory.mktemp("sharded") / "run"
    shutil.copytree(context.store.folder, folder)
    model = context.config.model.model_copy(update={"recorded_bytes": 0})
    config = context.config.model_copy(update={"model": model})
    run = replace(context, config=config, store=RunStore(folder), keys=dict(context.keys))
    for name in (*WORK, "probe_tuned"):
        shutil.rmtree(folder / name)
    for name, work in (*WORK.items(), ("probe_tuned", probe_after)):
        stage = run.stage(name)
        stage.begin()
        stage.finish(work(run, stage))
    return run


def test_states_in_shards_are_those_of_the_array(context: Run, sharded: Run) -> None:
    for name in ("elicit", "elicit_tuned"):
        states = states_of_stage(sharded.stage(name))
        assert isinstance(states, RecordedStates)
        assert states.layout.dtype == "float32"
        held = states_of_stage(context.stage(name))
        np.testing.assert_allclose(np.asarray(states), held, atol=1e-5)
        assert set(sharded.stage(name).tensors("readings")) == {"distribution"}
    end = question_end_states(sharded.stage("elicit"))
    np.testing.assert_allclose(
        np.asarray(end), context.stage("elicit").tensors("readings")[QUESTION_END], atol=1e-5
    )
    assert question_end_states(sharded.stage("elicit_tuned")) is None
    assert question_end_states(context.stage("elicit_tuned")) is None


def test_probes_of_shards_are_those_of_the_array(context: Run, sharded: Run) -> None:
    for name in ("probe", "probe_tuned"):
        ours, theirs = (run.stage(name).table("layers") for run in (sharded, context))
        pd.testing.assert_frame_equal(ours, theirs, atol=1e-4, rtol=1e-4)
        facts, wanted = (run.stage(name).facts() for run in (sharded, context))
        assert (facts["layer"], facts["position"]) == (wanted["layer"], wanted["position"])
        assert facts["direction_cosine"] == pytest.approx(wanted["direction_cosine"], abs=1e-3)


def test_training_takes_states_from_shards(context: Run, sharded: Run) -> None:
    rows = np.array([7, 3, 40])
    taken = states_of(sharded, rows)(POSITION)[np.array([2, 0])]
    held = context.stage("elicit").tensors("readings")["states"]
    wanted = held[[40, 7], :, POSITIONS.index(POSITION)]
    np.testing.assert_allclose(np.asarray(taken), wanted, atol=1e-5)


def test_states_stay_in_one_array_up_to_the_bound(context: Run) -> None:
    positions = run_positions(context)
    lm = context.lm
    whole = 4 * 10 * lm.n_layers * len(positions) * lm.width
    for bound, sharded in ((whole, False), (whole - 1, True)):
        update = {"recorded_bytes": bound, "recorded_dtype": "bfloat16"}
        model = context.config.model.model_copy(update=update)
        run = replace(context, config=context.config.model_copy(update={"model": model}))
        layout = shard_layout(run, lm, 10, positions)
        assert (layout is not None) == sharded
        assert layout is None or (layout.positions, layout.dtype) == (positions, "bfloat16")
        assert shard_layout(run, lm, 10, ()) is None


def test_a_stage_without_states_is_named(tmp_path: Path) -> None:
    stage = StageStore(tmp_path / "elicit", "key")
    stage.begin()
    stage.save_tensors("readings", {"distribution": np.zeros((1, 2))})
    with pytest.raises(WorkbenchError, match="recorded no states"):
        states_of_stage(stage)
