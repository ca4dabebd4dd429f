from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from workbench.bench.stream import PARTS, bench_stream
from workbench.bench.stream_checkpoint import (
    StreamShape,
    open_in_memory,
    open_streamed_shape,
    write_checkpoint,
)
from workbench.cli.app import app

TINY = StreamShape(3, 32, 64, 4, 2, 300)


def test_streamed_passes_read_every_layer_once_and_give_the_same(tmp_path: Path) -> None:
    found = bench_stream(
        shape=TINY,
        layer=replace(TINY, layers=1),
        prompts=16,
        tokens=4,
        layer_prompts=16,
        layer_tokens=5,
        parts=[part for part in PARTS if part != "memory"],
        folder=tmp_path / "weights",
    )
    for part in ("pass", "layer"):
        assert found[f"{part}.read_over_layers"] == 1
        assert found[f"{part}.largest_difference"] == 0
        assert found[f"{part}.streamed_over_memory"] > 0
    assert found["library.largest_difference"] == 0
    assert found["library.batches"] == 16
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_has_the_shape_that_was_asked_for(tmp_path: Path, dtype: str) -> None:
    shape = replace(TINY, dtype=dtype)
    written = write_checkpoint(tmp_path, shape)
    streamed, stream = open_streamed_shape(tmp_path, shape, 10**6, torch.device("cpu"))
    whole = open_in_memory(tmp_path, shape, streamed)
    weights = {id(value): value for value in whole.model.parameters()}
    assert sum(v.numel() * v.element_size() for v in weights.values()) == written
    assert whole.n_layers == streamed.n_layers == 3
    assert str(streamed.dtype) == f"torch.{dtype}"
    stream.close()


def test_the_command_prints_what_was_measured(tmp_path: Path) -> None:
    words = ["bench", "stream", "--layers", "1", "--width", "64", "--prompts", "16"]
    more = ["--tokens", "2", "--parts", "pass", "--folder", str(tmp_path)]
    result = CliRunner().invoke(app, [*words, *more, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["pass.largest_difference"] == 0
    assert "one pass over all prompts" in CliRunner().invoke(app, [*words, *more]).stdout
