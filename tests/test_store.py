from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.store import (
    Part,
    RunStore,
    StageStore,
    code_version,
    fingerprint,
    merge_parts,
    run_parts,
    write_atomically,
    write_json,
)


@pytest.fixture
def stage(tmp_path: Path) -> StageStore:
    store = RunStore(tmp_path).stage("answer", "key-1")
    store.begin()
    return store


def square(batch: list[int]) -> Part:
    """Row r with its square in the table and [r, 2r] in the tensor."""
    rows = np.array(batch)
    return Part(pd.DataFrame({"row": rows, "square": rows**2}), {"pair": np.stack([rows, 2 * rows], axis=1)})


def test_a_file_appears_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, lambda temporary: temporary.write_text("all of it"))
    assert path.read_text() == "all of it"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_ends_the_writing_of_tables_and_tensors(tmp_path: Path, little_room: Callable[[int], Any]) -> None:
    stage = StageStore(tmp_path, "key")
    values = np.random.default_rng(0).random(5000)
    with little_room(2000):
        with pytest.raises(
            WorkbenchError, match=r"Cannot write .*a\.parquet.*too large.*What was written before is kept"
        ):
            stage.save_table("a", pd.DataFrame({"row": values}))
        with pytest.raises(
            WorkbenchError, match=r"Cannot write .*a\.safetensors.*too large.*What was written before is kept"
        ):
            stage.save_tensors("a", {"a": values})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), RuntimeError("bug")])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise error

    with pytest.raises(WorkbenchError if isinstance(error, OSError) else type(error)):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match=r"Cannot write .*file/inside\.json"):
        write_json(tmp_path / "file" / "inside.json", {})


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {
        "nan": float("nan"),
        "inf": np.float64("inf"),
        "deep": [(np.nan, 1)],
        "n": np.int64(3),
        "no": np.bool_(False),
    }
    write_json(path, content)
    assert json.loads(path.read_text()) == {"nan": None, "inf": None, "deep": [[None, 1]], "n": 3, "no": False}
    assert "NaN" not in path.read_text()


def test_fingerprints_follow_content_and_not_order() -> None:
    assert fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})
    assert len({fingerprint(x) for x in ({"a": 1}, {"a": 2}, {"b": 1}, ["a", 1], "a")}) == 5
    assert len(code_version()) == 16


def test_a_part_has_one_tensor_row_for_each_table_row() -> None:
    with pytest.raises(WorkbenchError, match="'x' has 2 rows, its table 3"):
        Part(pd.DataFrame({"row": [0, 1, 2]}), {"x": np.zeros((2, 5))})


def test_tables_tensors_and_facts_come_back(stage: StageStore) -> None:
    table = pd.DataFrame({"row": [1, 0], "text": ["ä", None], "value": [0.5, np.nan]})
    tensor = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    stage.save_table("t", table)
    stage.save_tensors("x", {"states": tensor})
    stage.finish({"accuracy": 0.25})
    pd.testing.assert_frame_equal(stage.table("t"), table, check_dtype=False)
    assert np.array_equal(stage.tensors("x")["states"], tensor)
    assert stage.facts() == {"key": "key-1", "accuracy": 0.25}


def test_a_stage_is_done_with_its_own_key_alone(stage: StageStore, tmp_path: Path) -> None:
    assert not stage.done
    stage.finish({})
    assert stage.done
    assert not StageStore(stage.folder, "key-2").done


def test_beginning_keeps_work_of_the_same_key_and_drops_that_of_another(stage: StageStore) -> None:
    (stage.folder / "parts").mkdir()
    (stage.folder / "parts" / "a").write_text("")
    stage.begin()
    assert (stage.folder / "parts" / "a").exists()
    StageStore(stage.folder, "key-2").begin()
    assert [path.name for path in stage.folder.iterdir()] == ["begun.json"]


def test_a_folder_nobody_began_is_emptied(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "stage", "key")
    store.folder.mkdir()
    (store.folder / "stray.parquet").write_text("")
    store.begin()
    assert [path.name for path in store.folder.iterdir()] == ["begun.json"]


def test_finishing_removes_what_resuming_needed_and_nothing_else(stage: StageStore) -> None:
    run_parts(stage, [[0], [1]], square, "squaring")
    (stage.folder / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    stage.save_table("kept", pd.DataFrame({"row": [1]}))
    stage.finish({})
    assert {path.name for path in stage.folder.iterdir()} == {"begun.json", "done.json", "spent.json", "kept.parquet"}


def test_a_process_killed_while_finishing_loses_nothing(stage: StageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either the stage counts as done, or its parts are still there."""
    run_parts(stage, [[0], [1]], square, "squaring")

    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place in ("write_json", "shutil.rmtree"):
        with monkeypatch.context() as patch:
            patch.setattr(f"workbench.store.{place}", kill)
            with pytest.raises(KeyboardInterrupt):
                stage.finish({})
        assert stage.done or len(list((stage.folder / "parts").glob("*.parquet"))) == 2
    assert stage.done


@pytest.mark.parametrize("text", ["{", "[1]", "3", '"key"'])
def test_damaged_json_names_the_folder_to_delete(stage: StageStore, text: str) -> None:
    (stage.folder / "done.json").write_text(text)
    with pytest.raises(WorkbenchError, match=rf"done\.json is damaged; delete the folder .*{stage.folder.name}"):
        _ = stage.done


def test_bytes_that_are_no_text_are_damage(stage: StageStore) -> None:
    (stage.folder / "done.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(WorkbenchError, match="is damaged"):
        _ = stage.done


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


def test_a_part_without_its_table_is_computed_again(stage: StageStore) -> None:
    run_parts(stage, [[0], [1]], square, "squaring")
    (stage.folder / "parts" / "squaring-00001.parquet").unlink()
    done, compute = counted(interrupt_at=None)
    run_parts(stage, [[0], [1]], compute, "squaring")
    assert done == [[1]]


def test_seconds_of_interrupted_attempts_add_up(stage: StageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves one second a look: once at the start and once behind each computed part."""
    ticks = iter(float(i) for i in range(100))
    monkeypatch.setattr("workbench.store.time.monotonic", lambda: next(ticks))
    _, compute = counted(interrupt_at=2)
    with pytest.raises(KeyboardInterrupt):
        run_parts(stage, [[0], [1], [2]], compute, "squaring")
    assert stage.spent() == 2.0
    _, compute = counted(interrupt_at=None)
    run_parts(stage, [[0], [1], [2]], compute, "squaring")
    assert stage.spent() == 3.0
