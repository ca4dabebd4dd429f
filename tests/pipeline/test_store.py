from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.files.ownership import MARK, is_own
from workbench.files.writing import TEMPORARY
from workbench.pipeline.store import (
    Part,
    RunStore,
    StageStore,
    code_version,
    fingerprint,
    merge_parts,
    run_parts,
)
from workbench.states.layout import Layout


@pytest.fixture
def stage(tmp_path: Path) -> StageStore:
    store = RunStore(tmp_path / "run").stage("answer", "key-1")
    store.begin()
    return store


def square(batch: list[int]) -> Part:
    """Row r with its square in the table and [r, 2r] in the tensor."""
    rows = np.array(batch)
    return Part(
        pd.DataFrame({"row": rows, "square": rows**2}), {"pair": np.stack([rows, 2 * rows], axis=1)}
    )


def test_fingerprints_follow_content_and_not_order() -> None:
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})
    assert len({fingerprint(x) for x in ({"a": 1}, {"a": 2}, {"b": 1}, ["a", 1], "a")}) == 5
    assert len(code_version()) == 16


def test_a_part_has_one_tensor_row_for_each_table_row() -> None:
    with pytest.raises(WorkbenchError, match="'x' has 2 rows, its table 3"):
        Part(pd.DataFrame({"row": [0, 1, 2]}), {"x": np.zeros((2, 5))})


def test_finishing_removes_what_resuming_needed_and_nothing_else(stage: StageStore) -> None:
    run_parts(stage, [[0], [1]], square, "squaring")
    (stage.folder / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    stage.save_table("kept", pd.DataFrame({"row": [1]}))
    stage.finish({})
    kept = {"begun.json", "done.json", "spent.json", "kept.parquet", MARK}
    assert {path.name for path in stage.folder.iterdir()} == kept


def test_a_process_killed_while_finishing_loses_nothing(
    stage: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the stage counts as done, or its parts are still there."""
    run_parts(stage, [[0], [1]], square, "squaring")

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place in ("seal_files", "write_atomically", "shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(f"workbench.pipeline.stage_store.{place}", kill)
            with pytest.raises(KeyboardInterrupt):
                stage.finish({})
        assert stage.done or len(list((stage.folder / "parts").glob("*.parquet"))) == 2
    assert stage.done


@given(st.permutations(range(9)), st.integers(1, 4))
def test_parts_merge_in_the_order_of_their_rows(rows: list[int], size: int) -> None:
    parts = [square(list(rows[i : i + size])) for i in range(0, len(rows), size)]
    merged = merge_parts(parts)
    assert merged.table["row"].tolist() == list(range(9))
    assert merged.table["square"].tolist() == [r * r for r in range(9)]
    assert merged.tensors["pair"].tolist() == [[r, 2 * r] for r in range(9)]


def test_lines_of_one_row_keep_their_order() -> None:
    parts = [
        Part(pd.DataFrame({"row": [1, 1, 0], "line": ["a", "b", "c"]}), {}),
        Part(pd.DataFrame({"row": [0, 1], "line": ["d", "e"]}), {}),
    ]
    assert merge_parts(parts).table["line"].tolist() == ["c", "d", "a", "b", "e"]


def counted(interrupt_at: int | None) -> tuple[list[list[int]], Callable[[list[int]], Part]]:
    done: list[list[int]] = []

    def compute(batch: list[int]) -> Part:
        if len(done) == interrupt_at:
            raise KeyboardInterrupt
        done.append(batch)
        return square(batch)

    return done, compute


def test_a_killed_stage_goes_on_behind_its_last_finished_part(stage: StageStore) -> None:
    batches = [[4, 5], [2, 3], [0, 1], [6]]
    first, compute = counted(interrupt_at=2)
    with pytest.raises(KeyboardInterrupt):
        run_parts(stage, batches, compute, "squaring")
    stage.begin()
    second, compute = counted(interrupt_at=None)
    merged = run_parts(stage, batches, compute, "squaring")
    assert first == batches[:2]
    assert second == batches[2:]
    assert merged.table["square"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert merged.tensors["pair"][:, 1].tolist() == [0, 2, 4, 6, 8, 10, 12]


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("end", ["parquet", "safetensors", "json"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        shorten,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.write_text("[1]"),
    ],
    ids=["gone", "cut short", "empty", "zeros", "another"],
)
def test_a_damaged_part_is_computed_again(
    stage: StageStore, end: str, damage: Callable[[Path], object]
) -> None:
    run_parts(stage, [[0], [1]], square, "squaring")
    damage(stage.folder / "parts" / f"squaring-00001.{end}")
    done, compute = counted(interrupt_at=None)
    run_parts(stage, [[0], [1]], compute, "squaring")
    assert done == [[1]]


def test_seconds_of_interrupted_attempts_add_up(
    stage: StageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves one second a look: once at the start and once behind each computed
    part.
    """
    ticks = iter(float(i) for i in range(100))
    monkeypatch.setattr("workbench.pipeline.store.time.monotonic", lambda: next(ticks))
    _, compute = counted(interrupt_at=2)
    with pytest.raises(KeyboardInterrupt):
        run_parts(stage, [[0], [1], [2]], compute, "squaring")
    assert stage.spent() == 2.0
    _, compute = counted(interrupt_at=None)
    run_parts(stage, [[0], [1], [2]], compute, "squaring")
    assert stage.spent() == 3.0


def test_a_run_holds_its_folder_and_sweeps_what_killed_processes_left(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    with store.hold():
        assert is_own(store.folder)
        (store.folder / f".0{TEMPORARY}").write_text("")
        with store.hold():
            assert not (store.folder / f".0{TEMPORARY}").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("")
    with pytest.raises(
        WorkbenchError,
        match=r"holds a; nothing in it was touched\. Choose another --name or --runs",
    ):
        RunStore(tmp_path / "mine").hold().__enter__()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["a"]


LAYOUT = Layout(2, ("end",), 3, "float32")


def recorded(batch: list[int]) -> Part:
    """Row r with states that are all r."""
    part = square(batch)
    rows = part.table["row"].to_numpy(dtype=np.float32)[:, None, None, None]
    states = np.tile(rows, (1, 2, 1, 3))
    return Part(part.table, part.tensors | {"states": states})


def test_states_in_shards_are_part_of_the_parts(stage: StageStore) -> None:
    """A killed stage goes on from whole shards; a damaged shard, or a part without it, is computed
    again; the shards stay when the parts are removed.
    """
    batches = [[4, 5], [2, 3], [0, 1], [6]]
    computed: list[list[int]] = []

    def compute(batch: list[int]) -> Part:
        computed.append(batch)
        return recorded(batch)

    def killed(batch: list[int]) -> Part:
        if len(computed) == 3:
            raise KeyboardInterrupt
        return compute(batch)

    with pytest.raises(KeyboardInterrupt):
        run_parts(stage, batches, killed, "reading", LAYOUT)
    shard = stage.folder / "states" / "reading-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\1")
    merged = run_parts(stage, batches, compute, "reading", LAYOUT)
    assert computed == [*batches[:3], batches[1], batches[3]]
    assert set(merged.tensors) == {"pair"}
    stage.finish({})
    assert stage.done
    assert not (stage.folder / "parts").exists()
    states = stage.states()
    assert states is not None
    np.testing.assert_array_equal(np.asarray(states)[:, 1, 0, 2], np.arange(7))
    assert [name for name in stage.facts()["files"] if "states" in name] == [
        "states/manifest.jsonl"
    ]


def test_a_finished_stage_names_a_missing_shard_and_a_changed_manifest(stage: StageStore) -> None:
    assert stage.states() is None
    run_parts(stage, [[0], [1]], recorded, "reading", LAYOUT)
    stage.finish({})
    shard = stage.folder / "states" / "reading-00001.safetensors"
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(WorkbenchError, match=r"reading-00001.*missing.*delete the folder"):
        assert stage.done
    shard.write_bytes(content[:-1] + b"\1")
    assert stage.done
    states = stage.states()
    assert states is not None
    with pytest.raises(WorkbenchError, match=r"reading-00001.*layer 1, position 'end'"):
        np.asarray(states)
    manifest = stage.folder / "states" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("end", "dne"))
    with pytest.raises(WorkbenchError, match=r"manifest.jsonl"):
        stage.states()
