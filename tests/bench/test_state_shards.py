from __future__ import annotations

from pathlib import Path

from workbench.bench.state_shards import bench_states


def test_a_small_recording_is_written_read_and_probed(tmp_path: Path) -> None:
    found = bench_states(
        questions=70, layers=3, positions=2, width=16, shard_rows=16, memory_bytes=10**8,
        folder=tmp_path,
    )  # fmt: skip
    assert found["shards"] == 5
    assert found["bytes"] == 70 * 3 * 2 * 16 * 2
    assert found["read.site_bytes"] == 70 * 16 * 2
    assert found["probe.out_of_fold_auroc2"] > 0.5
    assert not list(tmp_path.iterdir())
