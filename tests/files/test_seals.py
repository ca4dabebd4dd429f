from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from workbench.files import seals
from workbench.files.seals import Seal, find_fault, seal_files


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, dict[str, dict[str, object]]]:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "deep" / "b").write_bytes(b"")
    return tmp_path, seal_files(tmp_path, [tmp_path / "deep" / "b", tmp_path / "a"])


def test_a_seal_is_size_and_sha256(sealed: tuple[Path, dict[str, dict[str, object]]]) -> None:
    _, found = sealed
    assert list(found) == ["a", "deep/b"]
    assert found["a"]["size"] == 3
    assert (
        found["a"]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    assert found["deep/b"]["sha256"] == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("name", ["a", "deep/b"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b"abcd"), "has 4 bytes instead of"),
        (lambda path: (path.unlink(), path.mkdir()), "is missing"),
        (
            lambda path: (path.rename(path.with_name("c")), path.symlink_to(path.with_name("c"))),
            "is a link now",
        ),
    ],
)
def test_what_is_wrong_is_told(
    sealed: tuple[Path, dict], name: str, damage: object, words: str
) -> None:
    folder, found = sealed
    assert find_fault(folder, found) is None
    damage(folder / name)  # type: ignore[operator]
    assert find_fault(folder, found) is not None
    assert f"{folder / name} {words}" in str(find_fault(folder, found))


def test_one_bit_is_enough_even_where_size_and_time_stay(
    sealed: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another process, which has compared nothing yet."""
    folder, found = sealed
    before = (folder / "a").stat()
    with (folder / "a").open("r+b") as stream:
        stream.write(b"abb")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr(seals, "_known", {})
    assert find_fault(folder, found) == f"{folder / 'a'} holds something else than what was written"


def test_a_big_file_passes_by_size_and_time_until_it_is_read(
    sealed: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = sealed
    monkeypatch.setattr(seals, "BIG", 2)
    monkeypatch.setattr(seals, "_known", {})
    before = (folder / "a").stat()
    (folder / "a").write_bytes(b"abb")
    assert find_fault(folder, found, presence=True) is not None
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr(seals, "_known", {})
    assert find_fault(folder, found, presence=True) is None
    assert find_fault(folder, found) is not None


def test_a_file_is_hashed_once_while_it_stays(
    sealed: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = sealed
    hashed: list[Path] = []
    monkeypatch.setattr(seals, "sha256_of", lambda path: hashed.append(path) or "0")
    assert find_fault(folder, found) is None
    assert hashed == []
    os.utime(folder / "a", (1, 1))
    assert find_fault(folder, found) is not None
    assert hashed == [folder / "a"]


def test_what_is_no_seal_is_an_error() -> None:
    for content in ({}, {"size": "x", "sha256": "", "time": 0}, {"size": 1}):
        with pytest.raises((KeyError, ValueError)):
            Seal.read(content)
