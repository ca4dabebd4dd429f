from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from safetensors import SafetensorError

from workbench.errors import WorkbenchError
from workbench.models import cache
from workbench.models.cache import build_folder, cache_root, require_space, verify_cache
from workbench.models.fingerprint import sha256_of


def test_the_argument_beats_the_variable_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "user_cache_dir", lambda name: str(tmp_path / "user" / name))
    monkeypatch.delenv("WORKBENCH_CACHE", raising=False)
    assert cache_root() == tmp_path / "user" / "confidence-workbench"
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "variable"))
    assert cache_root() == tmp_path / "variable"
    assert cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert (tmp_path / "argument").is_dir()


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != cache.LOCKS)


def write_two(folder: Path) -> None:
    (folder / "weights").write_bytes(bytes(range(256)) * 8000)
    (folder / "inner").mkdir()
    (folder / "inner" / "config.json").write_text("{}")


def test_a_folder_is_built_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "a").write_text("x")

    assert (
        build_folder(tmp_path / "m", build) == build_folder(tmp_path / "m", build) == tmp_path / "m"
    )
    assert len(calls) == 1
    assert names(tmp_path) == ["m"]
    manifest = json.loads((tmp_path / "m" / cache.MANIFEST).read_text())
    assert manifest == {
        "made_by": "confidence-workbench",
        "files": {"a": [1, hashlib.sha256(b"x").hexdigest()]},
    }


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyError("broken")

    with pytest.raises(KeyError):
        build_folder(tmp_path / "m", build)
    assert names(tmp_path) == []


def test_of_two_builders_one_builds_and_the_other_takes_what_is_there(tmp_path: Path) -> None:
    begun, results, calls = threading.Event(), list[Path](), list[str]()

    def build(folder: Path) -> None:
        calls.append(threading.current_thread().name)
        begun.set()
        time.sleep(0.5)
        write_two(folder)

    threads = [
        threading.Thread(target=lambda: results.append(build_folder(tmp_path / "m", build)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(timeout=10)
    for thread in threads:
        thread.join()
    assert results == [tmp_path / "m"] * 3
    assert len(calls) == 1
    assert names(tmp_path) == ["m"]


def test_another_process_is_waited_for_and_its_death_lets_go(tmp_path: Path) -> None:
    """The lock is the operating system's: it ends with the process that holds it, and what that
    left is swept.
    """
    left = tmp_path / ".partial-m-left"
    left.mkdir()
    (left / cache.MARK).write_text("")
    (tmp_path / cache.LOCKS).mkdir()
    code = (
        "import sys, time; from filelock import FileLock\n"
        "lock = FileLock(sys.argv[1]); lock.acquire(); print('begun', flush=True); time.sleep(60)"
    )
    place = str(tmp_path / cache.LOCKS / "m.lock")
    child = subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n"
    with pytest.raises(Timeout):
        FileLock(place).acquire(timeout=0.1)
    threading.Timer(0.7, child.kill).start()
    build_folder(tmp_path / "m", write_two)
    child.wait()
    child.stdout.close()
    assert names(tmp_path) == ["m"]


def test_only_marked_remains_of_the_same_target_are_swept(tmp_path: Path) -> None:
    for name, mark in (
        (".partial-m-own", True),
        (".partial-m-thesis", False),
        (".partial-other-own", True),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
        if mark:
            (tmp_path / name / cache.MARK).write_text("")
    build_folder(tmp_path / "m", write_two)
    assert names(tmp_path) == [".partial-m-thesis", ".partial-other-own", "m"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "bit flipped": (lambda m: flip(m / "weights"), "weights holds other bytes"),
    "truncated": (lambda m: os.truncate(m / "weights", 1000), "weights has another size"),
    "emptied": (lambda m: os.truncate(m / "weights", 0), "weights has another size"),
    "deleted": (lambda m: (m / "weights").unlink(), "weights is missing"),
    "small file changed": (
        lambda m: (m / "inner" / "config.json").write_text("[]"),
        r"config.json holds other bytes",
    ),
    "made a folder": (
        lambda m: ((m / "weights").unlink(), (m / "weights").mkdir()),
        "weights is missing",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_noticed_and_the_folder_made_anew(tmp_path: Path, name: str) -> None:
    target = build_folder(tmp_path / "m", write_two)
    whole = {
        path: path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and path.name != cache.VERIFIED
    }
    damage, message = DAMAGES[name]
    damage(target)
    assert [bool(re.search(message, entry.damage)) for entry in verify_cache(tmp_path)] == [True]
    with pytest.warns(UserWarning, match=f"is damaged .*{message}.* and is made anew"):
        assert build_folder(target, write_two) == target
    assert {path: path.read_bytes() for path in whole} == whole
    assert [entry.damage for entry in verify_cache(tmp_path)] == [""]


def test_a_change_is_noticed_whatever_the_time_of_modification(tmp_path: Path) -> None:
    target = build_folder(tmp_path / "m", write_two)
    status = (target / "weights").stat()
    flip(target / "weights")
    os.utime(target / "weights", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.warns(UserWarning, match="weights holds other bytes"):
        build_folder(target, write_two)


def test_unchanged_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = build_folder(tmp_path / "m", write_two)
    hashed: list[str] = []
    monkeypatch.setattr(
        cache, "sha256_of", lambda path: hashed.append(path.name) or sha256_of(path)
    )
    build_folder(target, write_two)
    assert hashed == []
    os.utime(target / "weights")
    build_folder(target, write_two)
    build_folder(target, write_two)
    assert hashed == ["weights"]
    (target / cache.VERIFIED).write_text("garbage")
    build_folder(target, write_two)
    assert sorted(hashed) == ["config.json", "weights", "weights"]
    verify_cache(tmp_path)
    assert len(hashed) == 5


@pytest.mark.parametrize(
    "manifest", [None, "", "{}", "[1]", '{"made_by": "another", "files": {"a": [1, "x"]}}']
)
def test_a_folder_the_cache_did_not_make_is_left_alone(
    tmp_path: Path, manifest: str | None
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("x")
    if manifest is not None:
        (tmp_path / "m" / cache.MANIFEST).write_text(manifest)
    with pytest.raises(WorkbenchError, match=r"cannot be told what it is: move it away"):
        build_folder(tmp_path / "m", write_two)
    assert (tmp_path / "m" / "thesis.txt").read_text() == "x"
    assert verify_cache(tmp_path) == ()


def test_a_link_is_read_and_never_removed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    real = build_folder(tmp_path / "disk" / "m", write_two)
    (tmp_path / "m").symlink_to(real)
    assert build_folder(tmp_path / "m", write_two) == tmp_path / "m"
    flip(real / "weights")
    with pytest.raises(WorkbenchError, match="is a link or not the cache's own"):
        build_folder(tmp_path / "m", write_two)
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(WorkbenchError, match="move it away"):
        build_folder(tmp_path / "lost", write_two)


def test_a_file_that_was_put_in_is_named(tmp_path: Path) -> None:
    target = build_folder(tmp_path / "m", write_two)
    (target / ".DS_Store").write_text("x")
    build_folder(target, write_two)
    (target / "adapter_config.json").write_text("{}")
    with pytest.raises(
        WorkbenchError,
        match=r"holds adapter_config.json, which was not written with it: take it out",
    ):
        build_folder(target, write_two)


def test_a_cache_that_cannot_be_written_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = build_folder(tmp_path / "m", write_two)
    (target / cache.VERIFIED).unlink()
    shutil.rmtree(tmp_path / cache.LOCKS)
    monkeypatch.setattr(
        Path, "write_text", lambda *_a, **_k: (_ for _ in ()).throw(PermissionError(13, "denied"))
    )
    assert build_folder(target, write_two) == target


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device"),
    ],
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
