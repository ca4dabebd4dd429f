from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.files.ownership import MARK
from workbench.pipeline.stage_store import StageStore


@pytest.fixture
def stage(tmp_path: Path) -> StageStore:
    store = StageStore(tmp_path / "answer", "key-1")
    store.begin({"seed": 0})
    return store


@pytest.fixture
def finished(stage: StageStore) -> StageStore:
    stage.save_table("t", pd.DataFrame({"row": [1, 0], "value": [0.5, 0.25]}))
    stage.save_tensors("x", {"states": np.arange(6.0).reshape(2, 3)})
    (stage.folder / "adapter").mkdir()
    (stage.folder / "adapter" / "weights").write_text("abc")
    stage.finish({"accuracy": 0.25})
    return stage


def test_tables_tensors_and_facts_come_back(stage: StageStore) -> None:
    table = pd.DataFrame({"row": [1, 0], "text": ["ä", None], "value": [0.5, np.nan]})
    tensor = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    stage.save_table("t", table)
    stage.save_tensors("x", {"states": tensor})
    for _ in ("unfinished", "finished"):
        pd.testing.assert_frame_equal(stage.table("t"), table, check_dtype=False)
        assert np.array_equal(stage.tensors("x")["states"], tensor)
        stage.finish({"accuracy": 0.25, "nothing": float("nan")})
    facts = stage.facts()
    assert (facts["key"], facts["accuracy"], facts["nothing"]) == ("key-1", 0.25, None)
    assert facts["made_from"] == {"seed": 0}
    assert sorted(facts["files"]) == ["t.parquet", "x.safetensors"]


def test_a_stage_is_done_with_its_own_key_alone(stage: StageStore) -> None:
    assert not stage.done
    with pytest.raises(WorkbenchError, match="has not finished; run it again first"):
        stage.require_done()
    stage.finish({})
    assert stage.done
    stage.require_done()
    assert not StageStore(stage.folder, "key-2").done


def test_beginning_keeps_work_of_the_same_key_and_drops_that_of_another(stage: StageStore) -> None:
    (stage.folder / "parts").mkdir()
    (stage.folder / "parts" / "a").write_text("")
    stage.begin()
    assert (stage.folder / "parts" / "a").exists()
    StageStore(stage.folder, "key-2").begin()
    assert {path.name for path in stage.folder.iterdir()} == {"begun.json", MARK}


def test_a_folder_nobody_began_stays_as_it_is(tmp_path: Path) -> None:
    store = StageStore(tmp_path / "teach", "key")
    store.folder.mkdir()
    (store.folder / "lecture.md").write_text("mine")
    with pytest.raises(
        WorkbenchError, match=r"teach was not made by the workbench and holds lecture\.md; nothing"
    ):
        store.begin()
    assert [path.name for path in store.folder.iterdir()] == ["lecture.md"]


def test_a_file_of_somebody_else_in_a_finished_stage_is_not_removed(finished: StageStore) -> None:
    (finished.folder / "adapter" / "notes.md").write_text("mine")
    with pytest.raises(
        WorkbenchError,
        match=r"adapter/notes\.md was not written by the workbench.*move the file away",
    ):
        StageStore(finished.folder, "key-2").begin()
    assert finished.done
    assert (finished.folder / "adapter" / "notes.md").read_text() == "mine"


def test_a_stage_that_is_a_link_is_refused(finished: StageStore, tmp_path: Path) -> None:
    moved = finished.folder.rename(tmp_path / "moved")
    finished.folder.symlink_to(moved)
    with pytest.raises(
        WorkbenchError, match="is a link, where a stage's folder is to be; remove it and run again"
    ):
        StageStore(finished.folder, "key-2").begin()
    assert (moved / "t.parquet").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def link_to_a_copy(path: Path) -> None:
    copy = shutil.copy(path, path.parent.parent / "copy")
    path.unlink()
    path.symlink_to(copy)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link": link_to_a_copy,
}


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("name", ["t.parquet", "x.safetensors", "adapter/weights"])
def test_a_damaged_file_of_a_finished_stage_is_named_with_the_mend(
    finished: StageStore, name: str, damage: str
) -> None:
    assert finished.done
    DAMAGES[damage](finished.folder / name)
    told = rf"{finished.folder / name} .*it was damaged or changed since; delete the folder {finished.folder} and run again"
    with pytest.raises(WorkbenchError, match=told):
        _ = finished.done
    read: Callable[[], Any] = {
        "t.parquet": lambda: finished.table("t"),
        "x.safetensors": lambda: finished.tensors("x"),
        "adapter/weights": lambda: finished.checked("adapter"),
    }[name]
    with pytest.raises(WorkbenchError, match=told):
        read()


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "gone"])
def test_a_damaged_record_of_a_finished_stage_is_named_with_the_mend(
    finished: StageStore, damage: str
) -> None:
    DAMAGES[damage](finished.folder / "done.json")
    told = (
        rf"done\.json .*damaged or changed since; delete the folder {finished.folder} and run again"
    )
    with pytest.raises(WorkbenchError, match=told):
        _ = finished.done
    with pytest.raises(WorkbenchError, match=told):
        finished.table("t")


def test_a_number_that_was_edited_in_the_record_is_seen(finished: StageStore) -> None:
    path = finished.folder / "done.json"
    path.write_text(path.read_text().replace("0.25", "0.26"))
    with pytest.raises(WorkbenchError, match="holds something else than what was written"):
        finished.facts()


@pytest.mark.parametrize("text", ["{", "[1]", "3", '"key"', "[" * 100_000])
def test_a_record_that_is_no_record_is_damage(stage: StageStore, text: str) -> None:
    (stage.folder / "done.json").write_text(text)
    with pytest.raises(
        WorkbenchError, match=rf"done\.json cannot be read .*delete the folder {stage.folder}"
    ):
        _ = stage.done


def test_a_deleted_folder_is_the_mend(finished: StageStore) -> None:
    flip(finished.folder / "t.parquet")
    shutil.rmtree(finished.folder)
    assert not finished.done
    finished.begin()


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"{", b"\xff\xfe"])
def test_a_damaged_beginning_is_begun_anew(stage: StageStore, content: bytes) -> None:
    """What it held cannot be told to be of this key any more."""
    (stage.folder / "parts").mkdir()
    (stage.folder / "begun.json").write_bytes(content)
    stage.begin()
    assert {path.name for path in stage.folder.iterdir()} == {"begun.json", MARK}
    assert json.loads((stage.folder / "begun.json").read_text())["key"] == "key-1"


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 9, b'{"seconds": "x"}', b'{"seconds": null}', b"[]"]
)
def test_damaged_seconds_count_nothing(stage: StageStore, content: bytes) -> None:
    (stage.folder / "spent.json").write_bytes(content)
    assert stage.spent() == 0.0


def test_a_file_that_was_deleted_since_counts_as_written(finished: StageStore) -> None:
    (finished.folder / "t.parquet").unlink()
    assert finished.holds("t.parquet")
    assert not finished.holds("u.parquet")


def test_a_table_that_is_not_there_is_named(finished: StageStore) -> None:
    with pytest.raises(WorkbenchError, match=r"absent\.parquet is missing"):
        finished.table("absent")


def test_a_file_that_a_later_stage_writes_is_sealed_anew(finished: StageStore) -> None:
    (finished.folder / "adapter" / "README.md").write_text("card")
    finished.amend("adapter/README.md")
    assert finished.done
    assert finished.facts()["accuracy"] == 0.25
    flip(finished.folder / "adapter" / "README.md")
    with pytest.raises(WorkbenchError, match=r"README\.md holds something else"):
        finished.checked("adapter")


def test_what_resuming_needed_goes_at_any_depth_and_is_not_sealed(stage: StageStore) -> None:
    for place in ("parts", "checkpoints", "first/checkpoints"):
        (stage.folder / place / "checkpoint-3").mkdir(parents=True)
        (stage.folder / place / "checkpoint-3" / "optimizer.pt").write_text("")
    (stage.folder / "first" / "weights").write_text("")
    stage.finish({})
    assert list(stage.facts()["files"]) == ["first/weights"]
    assert {path.name for path in stage.folder.rglob("*")} == {
        "begun.json",
        "done.json",
        MARK,
        "first",
        "weights",
    }


def test_one_array_is_read_without_the_others(stage: StageStore) -> None:
    values = {"wanted": np.arange(6.0).reshape(2, 3), "other": np.ones(4, dtype=np.float32)}
    stage.save_tensors("x", values)
    found = stage.tensors("x", "wanted", "missing")
    assert list(found) == ["wanted"]
    assert np.array_equal(found["wanted"], values["wanted"])
    assert found["wanted"].dtype == np.float64
    (stage.folder / "x.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WorkbenchError, match="cannot be read"):
        stage.tensors("x", "wanted")


def test_a_full_disk_ends_the_writing_of_tables_and_tensors(
    tmp_path: Path, little_room: Callable[[int], Any]
) -> None:
    stage = StageStore(tmp_path, "key")
    values = np.random.default_rng(0).random(5000)
    with little_room(2000):
        for write, file in (
            (lambda: stage.save_table("a", pd.DataFrame({"row": values})), r"a\.parquet"),
            (lambda: stage.save_tensors("a", {"a": values}), r"a\.safetensors"),
        ):
            told = rf"Cannot write .*{file}.*too large.*What was written before is kept\. Make room on the disk and run again"
            with pytest.raises(WorkbenchError, match=told):
                write()
    assert list(tmp_path.iterdir()) == []
