from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from workbench.models import fingerprint
from workbench.models.fingerprint import (
    KEPT,
    MIB,
    fingerprint_files,
    fingerprint_folder,
    kept_sha256,
    sha256_of,
)


def test_files_count_whole_with_name_and_size(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    content = hashlib.sha256(b"hello").hexdigest()
    assert (
        fingerprint_files([tmp_path / "a.txt"])
        == hashlib.sha256(f"a.txt\0005\0{content}\0".encode()).hexdigest()
    )


def test_a_change_in_the_middle_of_a_large_file_is_noticed(tmp_path: Path) -> None:
    path, keep = tmp_path / "w", tmp_path / "keep"
    keep.mkdir()
    path.write_bytes(bytes(4 * MIB))
    first = fingerprint_files([path], keep)
    assert first == fingerprint_files([path], keep) == fingerprint_files([path])
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(2 * MIB)
        stream.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint_files([path], keep) == fingerprint_files([path]) != first


def test_a_large_file_is_read_once_and_damaged_notes_count_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w"
    path.write_bytes(bytes(2 * MIB))
    read: list[Path] = []
    monkeypatch.setattr(fingerprint, "sha256_of", lambda path: read.append(path) or sha256_of(path))
    first = kept_sha256(path, tmp_path)
    assert kept_sha256(path, tmp_path) == first == sha256_of(path)
    assert len(read) == 1
    for note in ("garbage", "[]", '{"x": 1}', json.dumps({str(path.resolve()): 3})):
        (tmp_path / KEPT).write_text(note)
        assert kept_sha256(path, tmp_path) == first
    assert len(read) == 5


def test_a_folder_counts_its_configuration_and_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = fingerprint_folder(tmp_path)
    (tmp_path / "README.md").write_text("unrelated")
    assert fingerprint_folder(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"2")
    second = fingerprint_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert len({first, second, fingerprint_folder(tmp_path)}) == 3


def test_sha256_of_reads_everything(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
