from __future__ import annotations

import hashlib
from pathlib import Path

from workbench.models.fingerprint import MIB, fingerprint_files, fingerprint_folder, sha256_of


def test_a_small_file_counts_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    assert fingerprint_files([path]) == hashlib.sha256(b"a.txt\x005\x00hello").hexdigest()


def test_a_large_file_counts_at_both_ends_without_overlap(tmp_path: Path) -> None:
    for size in (MIB + 5, 3 * MIB):
        data = bytes(index % 251 for index in range(size))
        path = tmp_path / "w"
        path.write_bytes(data)
        tail = data[max(MIB, size - MIB) :]
        assert fingerprint_files([path]) == hashlib.sha256(f"w\0{size}\0".encode() + data[:MIB] + tail).hexdigest()


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
