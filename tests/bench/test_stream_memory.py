from __future__ import annotations

from pathlib import Path

from workbench.bench.stream_checkpoint import StreamShape, write_checkpoint
from workbench.bench.stream_memory import measure_apart

SHAPE = StreamShape(12, 1024, 2816, 8, 4, 1000, "float32")


def test_a_pass_within_a_limited_address_space_reads_every_layer_once(tmp_path: Path) -> None:
    """Two of twelve layers are in memory at a time."""
    weights = write_checkpoint(tmp_path, SHAPE)
    found = measure_apart(tmp_path, SHAPE, [[[5, 6, 7]], [[8, 9, 10]]], weights)
    assert found["memory.read_over_layers"] == 1
    assert found["memory.peak_over_weights"] < found["memory.limit_over_weights"] < 1
