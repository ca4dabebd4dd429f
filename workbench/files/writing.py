"""Write files so that readers never meet half of one, even after a killed process or a power cut.

A file is written under a temporary name in the same folder, synced to the disk, and renamed; the
rename is synced as well. Temporary names carry random digits, since process numbers repeat between
containers that share a folder.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from workbench.errors import WorkbenchError

TEMPORARY = ".workbench-tmp"
"""The endings of the names of temporary files."""
_MENDS = {
    "Make room on the disk and run again": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "Choose a folder that can be written to": (errno.EACCES, errno.EPERM, errno.EROFS),
    "Choose a shorter name": (errno.ENAMETOOLONG,),
    "Choose a path whose folders are folders": (errno.ENOTDIR, errno.EISDIR),
}
_NO_ROOM = ("No space left", "File too large", "Disk quota")
_KEPT = "What was written before is kept."


def write_atomically(path: Path, write: Callable[[Path], object], sync: bool = True) -> None:
    """Let ``write`` fill a temporary file next to ``path``, then rename it.

    Args:
        sync: sync the file to the disk first, so that a power cut leaves the old or the new file
            whole.

    Raises:
        WorkbenchError: naming the file and the mend, where it cannot be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(6)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            if sync:
                sync_to_disk(temporary)
            temporary.replace(path)
            if sync:
                sync_to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    # The writer of tensors has its own error for a full disk.
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from error


def write_json(path: Path, content: Any, sync: bool = True) -> None:
    """Write indented JSON; NaN becomes null, so every JSON reader takes the file."""
    text = json.dumps(without_nan(content), indent=2, allow_nan=False)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n"), sync)


def cannot_write(path: Path, error: OSError | SafetensorError) -> WorkbenchError:
    """Return the error that names the file that could not be written, the cause, and the mend."""
    number = getattr(error, "errno", None)
    if number is None and any(words in str(error) for words in _NO_ROOM):
        number = errno.ENOSPC
    mend = next((mend for mend, numbers in _MENDS.items() if number in numbers), "Run again")
    return WorkbenchError(f"Cannot write {path}: {error}. {_KEPT} {mend}.")


def sync_to_disk(path: Path) -> None:
    """Sync a file's content, or the names in a folder, to the disk; some file systems cannot do
    that for folders.
    """
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Return whether a file of this name is one that a killed process of the workbench left."""
    return path.name.startswith(".") and path.name.endswith(TEMPORARY)


def sweep_temporary_files(folder: Path) -> None:
    """Remove temporary files that killed processes left in ``folder`` and below. No other process
    may be writing there.
    """
    for path in folder.rglob(f".*{TEMPORARY}"):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def without_nan(content: Any) -> Any:
    """Return JSON-like content with plain Python numbers, and None for numbers that are not
    finite.
    """
    if isinstance(content, dict):
        return {str(key): without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content
