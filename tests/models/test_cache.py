from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

from workbench.errors import WorkbenchError
from workbench.models import cache
from workbench.models.cache import build_folder, cache_root, require_space


def test_the_argument_beats_the_variable_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "user_cache_dir", lambda name: str(tmp_path / "user" / name))
    monkeypatch.delenv("WORKBENCH_CACHE", raising=False)
    assert cache_root() == tmp_path / "user" / "confidence-workbench"
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "variable"))
    assert cache_root() == tmp_path / "variable"
    assert cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert (tmp_path / "argument").is_dir()


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").write_text("x")

    assert build_folder(tmp_path / "m", build) == build_folder(tmp_path / "m", build) == tmp_path / "m"
    assert len(calls) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyError("broken")

    with pytest.raises(KeyError):
        build_folder(tmp_path / "m", build)
    assert list(tmp_path.iterdir()) == []


def test_of_two_builders_one_wins_and_nothing_is_mixed(tmp_path: Path) -> None:
    barrier = threading.Barrier(2)
    results: list[Path] = []

    def build(folder: Path) -> None:
        barrier.wait(timeout=10)
        for name in "abc":
            (folder / name).write_text(threading.current_thread().name)

    threads = [threading.Thread(target=lambda: results.append(build_folder(tmp_path / "m", build))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [tmp_path / "m"] * 2
    assert len({path.read_text() for path in (tmp_path / "m").iterdir()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age in (("old", 2 * 86400.0), ("new", 60.0)):
        left = tmp_path / f".partial-{name}"
        left.mkdir()
        os.utime(left, (time.time() - age,) * 2)
    build_folder(tmp_path / "m", lambda folder: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-new", "m"]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")],
)
def test_a_full_disk_names_the_mend(tmp_path: Path, error: Exception) -> None:
    def build(_folder: Path) -> None:
        raise error

    with pytest.raises(WorkbenchError, match=r"the disk is full.*set WORKBENCH_CACHE"):
        build_folder(tmp_path / "m", build)
    with pytest.raises(WorkbenchError, match=r"free some space.*WORKBENCH_CACHE"):
        require_space(tmp_path, 10**18)


def test_an_unwritable_cache_names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkbenchError, match=r"cannot be written.*WORKBENCH_CACHE"):
        cache_root(tmp_path / "file" / "cache")
