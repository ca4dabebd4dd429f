from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench.files import processes
from workbench.files.processes import (
    is_first_process,
    launched_processes,
    only_first_prints,
    own_folder,
    process_number,
)


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
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept.txt").write_text("kept")
    (tmp_path / "run" / ".lock").write_text("")
    found = own_folder(tmp_path / "run")
    assert found != tmp_path / "run"
    assert [path.name for path in found.iterdir()] == ["kept.txt"]
    (found / "kept.txt").write_text("changed")
    assert (tmp_path / "run" / "kept.txt").read_text() == "kept"
    assert own_folder(tmp_path / "run") == found
    assert not own_folder(tmp_path, copied=False).exists() or tmp_path not in found.parents


def test_another_process_prints_nothing(
    second_of_two: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_first_prints():
        sys.stdout.write("result")
        sys.stderr.write("progress")
    sys.stderr.write("error")
    assert capsys.readouterr() == ("", "error")
