from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.files.writing import (
    TEMPORARY,
    cannot_write,
    is_temporary,
    sweep_temporary_files,
    write_atomically,
    write_json,
)


def test_a_file_appears_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, lambda temporary: temporary.write_text("all of it"))
    assert path.read_text() == "all of it"
    assert list(path.parent.iterdir()) == [path]


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
    assert json.loads(path.read_text()) == {
        "nan": None,
        "inf": None,
        "deep": [[None, 1]],
        "n": 3,
        "no": False,
    }
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.ENOSPC, "Make room on the disk and run again."),
        (errno.EDQUOT, "Make room on the disk and run again."),
        (errno.EROFS, "Choose a folder that can be written to."),
        (errno.EACCES, "Choose a folder that can be written to."),
        (errno.ENAMETOOLONG, "Choose a shorter name."),
        (errno.ENOTDIR, "Choose a path whose folders are folders."),
        (errno.EIO, "Run again."),
    ],
)
def test_the_mend_fits_the_error(number: int, mend: str) -> None:
    message = str(cannot_write(Path("a/b"), OSError(number, os.strerror(number))))
    assert message.startswith("Cannot write a/b: ")
    assert message.endswith(f"What was written before is kept. {mend}")


def test_a_name_that_is_too_long_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"Choose a shorter name\."):
        write_json(tmp_path / ("a" * 300), {})
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    write_json(tmp_path / ("a" * 255), {})
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 255]


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    left = [tmp_path / f".0123456789ab{TEMPORARY}", tmp_path / "deep" / f".ffffffffffff{TEMPORARY}"]
    kept = [tmp_path / "a.txt", tmp_path / ".hidden", tmp_path / "deep" / f"mine{TEMPORARY}"]
    for path in (*left, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    link = tmp_path / f".link{TEMPORARY}"
    link.symlink_to(kept[0])
    assert [is_temporary(path) for path in (*left, *kept)] == [True, True, False, False, False]
    sweep_temporary_files(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*kept, link])


def test_a_power_cut_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is on the disk before it gets its name, and the name after that."""
    path, order = tmp_path / "a.json", []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_json(path, {"a": 1})
    assert order == ["file", "rename", "folder"]
