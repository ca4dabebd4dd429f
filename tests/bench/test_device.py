from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner

from workbench.bench import device as bench
from workbench.bench.device import GIGA, bench_device, device_values, stream_shape
from workbench.bench.stream_checkpoint import StreamShape
from workbench.cli.app import app

TINY = StreamShape(2, 32, 64, 4, 2, 300)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream a tiny shape, and sweep without other libraries."""
    monkeypatch.setattr(bench, "stream_shape", lambda memory: TINY)
    sweep = bench.bench_sweep
    monkeypatch.setattr(
        bench, "bench_sweep", lambda model, **how: sweep(model, **how | {"libraries": ()})
    )


def test_one_table_has_every_part(small: None, tiny_folder: Path) -> None:
    found = bench_device(str(tiny_folder), rows=2, tokens=8)
    assert found["sweep.packed_over_forward"] > 0
    assert found["stream.pass.largest_difference"] == 0
    assert found["noise.precision"] == "bfloat16"
    assert found["noise.bfloat16_spread_of_readouts"] > 0
    # A model whose states are rounded to 8 bits moves by their rounding, and no more.
    assert found["noise.bfloat16_own_state_moves"] < 0.1
    assert found["seconds"] > 0
    json.dumps(found, allow_nan=False)


def test_no_part_is_begun_when_time_is_over(small: None, tiny_folder: Path) -> None:
    found = bench_device(str(tiny_folder), rows=2, tokens=8, seconds=0)
    assert [found[part] for part in ("sweep", "noise", "stream")] == ["no time left"] * 3
    assert not any(key.startswith("sweep.") for key in found)


def test_shapes_grow_with_the_memory_of_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    small = stream_shape(8 * GIGA)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert stream_shape(8 * GIGA) == small
    large = stream_shape(24 * GIGA)
    assert large.layers * large.width**2 > 20 * small.layers * small.width**2


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what the processor is")
def test_the_processor_is_named_with_its_memory() -> None:
    found = device_values()
    assert found["device"] == "cpu"
    assert found["memory_bytes"] == psutil.virtual_memory().total


def test_the_command_prints_the_table(small: None, tiny_folder: Path) -> None:
    words = ["bench", "device", "--model", str(tiny_folder), "--rows", "2", "--tokens", "8"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["stream.pass.read_over_layers"] == 1
