"""Compute SHA-256 of files, with a progress bar for those that take seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from workbench.progress import task

_SHOWN = 1 << 30


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of all bytes of a file."""
    with path.open("rb") as stream:
        if path.stat().st_size < _SHOWN:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        with task(f"reading {path.name} for its SHA-256"):
            return hashlib.file_digest(stream, "sha256").hexdigest()
