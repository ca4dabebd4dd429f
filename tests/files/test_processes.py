from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.files import processes
from workbench.files.locks import HOLDER, LOCK, FolderInUseError
from workbench.files.ownership import MARK, claim_folder
from workbench.files.processes import (
    is_first_process,
    launched_processes,
    only_first_prints,
    own_folder,
    process_number,
    require_one_process,
    take_from_first,
)
from workbench.files.writing import write_json


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look like the second process of two, which never waits."""
    for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes, "wait_for_all", lambda: None)


def test_alone_a_process_is_the_first(tmp_path: Path) -> None:
    assert (launched_processes(), process_number(), is_first_process()) == (1, 0, True)
    assert own_folder(tmp_path) == tmp_path


def test_another_process_works_on_a_copy(second_of_two: None, tmp_path: Path) -> None:
    claim_folder(tmp_path / "run")
    (tmp_path / "run" / "kept.txt").write_text("kept")
    (tmp_path / "run" / ".lock").write_text("")
    found = own_folder(tmp_path / "run")
    assert found != tmp_path / "run"
    assert sorted(path.name for path in found.iterdir()) == [MARK, "kept.txt"]
    (found / "kept.txt").write_text("changed")
    assert (tmp_path / "run" / "kept.txt").read_text() == "kept"
    assert own_folder(tmp_path / "run") == found
    assert not own_folder(tmp_path, copied=False).exists() or tmp_path not in found.parents


def test_nothing_of_somebody_elses_is_copied(second_of_two: None, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "large.bin").write_text("large")
    assert not own_folder(tmp_path / "theirs").exists()


def test_what_the_first_did_alone_is_taken(second_of_two: None, tmp_path: Path) -> None:
    claim_folder(tmp_path / "run")
    found = own_folder(tmp_path / "run")
    stage = tmp_path / "run" / "probe"
    stage.mkdir()
    (stage / "done.json").write_text("done")
    (found / "probe").mkdir()
    (found / "probe" / "half.json").write_text("half")
    take_from_first(found / "probe")
    assert [path.name for path in (found / "probe").iterdir()] == ["done.json"]


def test_the_first_waits_for_a_folder_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that survived its killed launcher still writes there."""
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    waited: list[bool] = []

    def wait() -> None:
        waited.append((tmp_path / "run" / HOLDER).exists())

    monkeypatch.setattr(processes, "wait_for_all", wait)
    claim_folder(tmp_path / "run")
    assert own_folder(tmp_path / "run") == tmp_path / "run"
    assert waited == [True, True]
    write_json(tmp_path / "run" / HOLDER, {"host": "another machine", "pid": 1, "since": "now"})
    with pytest.raises(FolderInUseError, match="process 1 on another"):
        own_folder(tmp_path / "run")


def test_folders_that_killed_processes_left_are_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes.tempfile, "tempdir", str(tmp_path))
    left, live = tmp_path / "workbench-process-left", tmp_path / "workbench-process-live"
    for folder in (left, live):
        folder.mkdir()
        (folder / LOCK).write_text("")
    write_json(live / HOLDER, {"host": "another machine", "pid": 1, "since": "now"})
    own = processes._temporary.__wrapped__()
    assert sorted(tmp_path.iterdir()) == sorted([live, own])


def test_what_needs_one_process_says_so(second_of_two: None) -> None:
    with pytest.raises(WorkbenchError, match="workbench grid runs in one process, and 2 were"):
        require_one_process("workbench grid", "start it without torchrun")


def test_another_process_prints_nothing(
    second_of_two: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_first_prints():
        sys.stdout.write("result")
        sys.stderr.write("progress")
    sys.stderr.write("error")
    assert capsys.readouterr() == ("", "error")
