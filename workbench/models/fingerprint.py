"""Fingerprint model files: SHA-256 over all of their bytes, kept next to the cache so that a big
file is read once.

A kept hash counts as long as the file has the size and the times of modification and of change it
had when it was read; a file that was written to since is read again. Only files larger than a MiB
are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.files.hashing import sha256_of

MIB = 1 << 20
WEIGHTS = (".safetensors", ".gguf")
KEPT = ".hashes.json"


def fingerprint_folder(folder: Path, keep: Path | None = None) -> str:
    """Return the fingerprint of a model folder: its config.json and its weights files."""
    weights = sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS)
    return fingerprint_files([folder / "config.json", *weights], keep)


def fingerprint_files(files: Sequence[Path], keep: Path | None = None) -> str:
    """Return the hex SHA-256 over names, sizes and contents of the files, in the order given. The
    files' hashes are kept in the folder ``keep``.
    """
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0{kept_sha256(path, keep)}\0".encode())
    return digest.hexdigest()


def kept_sha256(path: Path, keep: Path | None) -> str:
    """Return the hex SHA-256 of a file, from those kept in the folder ``keep`` if the file has not
    been written to since.
    """
    mark = mark_of(path)
    if keep is None or mark[0] <= MIB:
        return sha256_of(path)
    kept, name = read_sidecar(keep / KEPT), str(path.resolve())
    entry = kept.get(name)
    if isinstance(entry, dict) and entry.get("mark") == mark:
        return str(entry.get("sha256"))
    found = sha256_of(path)
    write_sidecar(keep / KEPT, {**read_sidecar(keep / KEPT), name: {"mark": mark, "sha256": found}})
    return found


def mark_of(path: Path) -> list[int]:
    """Return a file's size and times of modification and change. One of them changes when the file
    is written to.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def write_sidecar(path: Path, content: Any) -> None:
    """Write JSON that may be lost: into a temporary file that is renamed. Nothing is written where
    the folder is not writable.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what :func:`write_sidecar` wrote; empty where it was lost or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
