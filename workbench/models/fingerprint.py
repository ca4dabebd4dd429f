"""A short identity for model files that does not read all of their bytes.

SHA-256 over each file's name, size, and first and last MiB; small files count whole. Two files that differ only in
the middle and have the same name and size get the same fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

MIB = 1 << 20
WEIGHTS = (".safetensors", ".gguf")


def fingerprint_folder(folder: Path) -> str:
    """Fingerprint of a model folder: its config.json and its weights files."""
    weights = sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS)
    return fingerprint_files([folder / "config.json", *weights])


def fingerprint_files(files: Sequence[Path]) -> str:
    """Hex SHA-256 over names, sizes, and ends of the files, in the order given."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(MIB))
            if size > MIB:
                stream.seek(max(MIB, size - MIB))
                digest.update(stream.read())
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of all bytes of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
