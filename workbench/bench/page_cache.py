"""Take files out of the system's memory of files, so that they are read from the disk again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def forget_files(paths: Iterable[Path]) -> None:
    """Let the system forget what it holds of files, where it takes such advice; what is not on the
    disk yet is written first.
    """
    advise: Callable[..., Any] | None = getattr(os, "posix_fadvise", None)
    if advise is None:
        return
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            advise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
