from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from workbench.bench import stream_plan
from workbench.bench.stream import bench_stream
from workbench.bench.stream_checkpoint import (
    LAYER_70B,
    StreamShape,
    open_streamed_shape,
    write_checkpoint,
)
from workbench.bench.stream_plan import (
    LayerRates,
    LayerTimes,
    layer_rates,
    machine_here,
    plan_whole,
    reading_seconds,
    same_layer,
)
from workbench.bench.stream_rows import plan_rows, plan_sentences
from workbench.config import load_config
from workbench.plan.plan import make_plan
from workbench.plan.shape import decoder_shape

TINY = StreamShape(1, 32, 64, 4, 2, 300)
RATES = LayerRates(1e9, 1e8, 1e7, 2e7)


def test_rates_by_hand() -> None:
    """Two batches of 3 rows x 5 columns: each column meets the layer's 32 x 32 x 3 weights of
    attention (queries, half as many of keys and of values, outputs) and 3 x 32 x 64 of the MLP, and
    in 32 channels twice as many products with each of 5 columns.
    """
    weights = 32 * 32 * 3 + 3 * 32 * 64
    operations = 2 * 15 * (2 * weights + 5 * 4 * 32)
    found = layer_rates(TINY, 1000, [(3, 5), (3, 5)], LayerTimes(2.0, 4.0, 10.0, 5.0))
    assert found == LayerRates(operations / 2, 250.0, 100.0, 200.0)


def test_a_layer_of_another_shape_plans_nothing(tiny_folder: Path) -> None:
    assert same_layer(LAYER_70B, decoder_shape("llama-3.1-70b"))
    assert not plan_whole(RATES, replace(TINY, mlp=65), str(tiny_folder))
    assert not plan_whole(RATES, replace(TINY, width=64), str(tiny_folder))


def test_the_plan_is_that_of_the_command_at_the_measured_rates(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = replace(TINY, dtype="float32")
    config = {"teach.lora.target_modules": ["q_proj", "v_proj"]}

    def load(path: None, settings: dict[str, object]) -> object:
        return load_config(path, {**settings, **config})

    monkeypatch.setattr(stream_plan, "load_config", load)
    found = plan_whole(RATES, layer, str(tiny_folder), 100)
    settings = {"model.name": str(tiny_folder), "model.placement": "stream", **config}
    plan = make_plan(
        load_config(None, settings | {"model.precision": "float32", "model.dtype": "float32"}),
        machine_here(RATES),
        count=100,
        placement="stream",
        bottleneck=False,
    )
    stages = [stage for stage in plan.stages if stage.name not in plan.chosen.refused]
    assert found["plan.whole.passes"] == sum(len(stage.forwards) for stage in stages) > 0
    assert found["plan.answer.tokens"] == stages[0].tokens
    assert found["plan.whole.hours"] * 3600 == pytest.approx(plan.chosen.total_seconds)
    assert found["plan.whole.device_bytes"] == plan.chosen.device_bytes
    # Every reading of the model takes all its layers' bytes.
    assert found["plan.answer.model_readings"] == pytest.approx(len(stages[0].reads))
    # Products decide a training's hours here, and half the rate takes twice as long.
    slow = plan_whole(replace(RATES, operations=5e8), layer, str(tiny_folder), 100)
    assert slow["plan.teach.hours"] == pytest.approx(2 * found["plan.teach.hours"], rel=0.02)

    rows = plan_rows(found)
    assert [row["planned"] for row in rows] == [*(stage.name for stage in stages), "whole"]
    assert [bool(row["peak memory"]) for row in rows] == [*([False] * len(stages)), True]
    assert "rates measured with one layer" in plan_sentences(found)[0]
    assert not plan_rows({})
    assert not plan_sentences({})


def test_what_does_not_fit_is_said_beside_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        total = 8e9

    monkeypatch.setattr(stream_plan.psutil, "virtual_memory", Small)
    found = plan_whole(RATES, LAYER_70B, questions=100)
    assert "does not fit" in found["plan.refused"]
    assert plan_sentences(found)[0].startswith("Plan of llama-3.1-70b, 100 questions")
    assert not plan_rows(found)


def test_a_layer_is_read_twice_and_left_empty(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, TINY)
    _, stream = open_streamed_shape(tmp_path, TINY, 10**6, torch.device("cpu"))
    before = stream.weights.counts.bytes_read
    assert min(reading_seconds(stream, tmp_path)) > 0
    assert stream.weights.counts.bytes_read - before == 2 * stream.weights.nbytes(0)
    assert not stream.weights.is_filled(0)
    stream.close()


def test_the_measured_layer_has_its_plan(tmp_path: Path) -> None:
    found = bench_stream(layer=TINY, layer_prompts=8, layer_tokens=4, parts=["layer"],
                         folder=tmp_path)  # fmt: skip
    assert found["layer.operations_per_second"] > 0
    assert found["layer.disk_bytes_per_second"] > 0
    assert "plan.model" not in found  # a tiny layer is none of a 70B model
