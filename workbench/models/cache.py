"""Where converted models are kept, and how a folder gets there whole or not at all.

The cache directory is the argument, else the environment variable WORKBENCH_CACHE, else the user's cache directory of
the operating system. A folder is built under a temporary name beside its target and renamed when complete: a killed
process leaves no half-built model, and of two processes that build the same one the first to finish wins.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir
from safetensors import SafetensorError

from workbench.errors import WorkbenchError

CACHE_VARIABLE = "WORKBENCH_CACHE"
ABANDONED_SECONDS = 24 * 3600.0
_PARTIAL = ".partial-"


def cache_root(cache_dir: Path | None = None) -> Path:
    """The cache directory, created if missing."""
    root = Path(cache_dir or os.environ.get(CACHE_VARIABLE) or user_cache_dir("confidence-workbench")).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(root, error) from error
    return root


def build_folder(target: Path, build: Callable[[Path], None]) -> Path:
    """``target``, built by ``build(empty folder)`` unless it exists already.

    Raises :class:`WorkbenchError` when the disk is full or not writable; other errors of ``build`` pass through, and
    in every case the partial folder is removed.
    """
    if target.exists():
        return target
    partial = None
    try:
        _sweep(target.parent)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
        build(partial)
        _rename(partial, target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(target.parent, error) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def require_space(folder: Path, n_bytes: int) -> None:
    """Raise :class:`WorkbenchError` when fewer than ``n_bytes`` are free where ``folder`` lies."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise WorkbenchError(
            f"converting the model needs {n_bytes / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB are free: "
            f"free some space, or set {CACHE_VARIABLE} to a folder on a larger disk"
        )


def _rename(partial: Path, target: Path) -> None:
    """Give ``partial`` its name; when another process was first, its equal result is kept."""
    try:
        partial.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _sweep(root: Path) -> None:
    """Remove what processes killed long ago left behind."""
    for path in root.glob(f"{_PARTIAL}*"):
        if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _unwritable(root: Path, error: OSError | SafetensorError) -> WorkbenchError:
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    why = "the disk is full" if full else str(error)
    return WorkbenchError(
        f"the model cache {root} cannot be written ({why}): "
        f"free some space, or set {CACHE_VARIABLE} to a writable folder on a larger disk"
    )
