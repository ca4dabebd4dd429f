"""Keep converted models in a cache: a folder gets there whole or not at all, and is checked for
changes.

The cache directory is the argument, else the environment variable WORKBENCH_CACHE, else the user's
cache directory of the operating system. A folder is built under a temporary name next to its
target, synced to the disk and renamed when complete, by one process at a time. A lock of the
operating system, which ends with the process that holds it, makes others wait and then use what is
there. On file systems without locks, such as some network shares, that is an error.

Every folder holds a manifest with the size and SHA-256 of each of its files. A file is hashed when
it is first used and after any change of its size or times; a folder that is no longer what was
written is built anew, if its manifest says that the cache made it. Nothing else is ever removed.
:func:`verify_cache` hashes everything, for damage that leaves no trace in a file's times.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir
from safetensors import SafetensorError

from workbench.errors import WorkbenchError
from workbench.files.writing import sync_to_disk
from workbench.models.fingerprint import mark_of, read_sidecar, sha256_of, write_sidecar
from workbench.progress import task

CACHE_VARIABLE = "WORKBENCH_CACHE"
MANIFEST = "workbench-manifest.json"
VERIFIED = ".workbench-verified.json"
MADE_BY = "confidence-workbench"
PARTIAL = ".partial-"
MARK = ".workbench-partial"
LOCKS = ".locks"
_PATIENCE = 0.2


def cache_root(cache_dir: Path | None = None) -> Path:
    """Return the cache directory, created if missing.

    Raises:
        WorkbenchError: if it cannot be made.
    """
    try:
        root = Path(
            cache_dir or os.environ.get(CACHE_VARIABLE) or user_cache_dir("confidence-workbench")
        ).expanduser()
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, RuntimeError) as error:
        place = cache_dir or os.environ.get(CACHE_VARIABLE)
        raise _unwritable(place, error) from error
    return root


def hashes_folder(cache_dir: Path | None = None) -> Path | None:
    """Return the folder in which hashes of files are kept: the cache directory, None where there
    can be none.
    """
    try:
        return cache_root(cache_dir)
    except WorkbenchError:
        return None


def build_folder(target: Path, build: Callable[[Path], None]) -> Path:
    """Build ``target`` with ``build(empty folder)``, unless it is there as it was built; return it.

    The partial folder is removed in every case. Other errors of ``build`` pass through.

    Raises:
        WorkbenchError: when the disk is full or not writable, and for a folder of this name that
            the cache did not make.
    """
    if os.path.lexists(target) and not _damage(target):
        return target
    with _locked(target):
        if os.path.lexists(target):
            damage = _damage(target)
            if not damage:
                return target
            _remove_own(target)
            warnings.warn(f"{target} is damaged ({damage}) and is made anew.", stacklevel=2)
        _build(target, build)
    return target


@dataclass(frozen=True)
class CacheEntry:
    """A converted model in the cache; ``damage`` says what is wrong with it, "" for nothing."""

    folder: Path
    damage: str


def verify_cache(cache_dir: Path | None = None) -> tuple[CacheEntry, ...]:
    """Hash every file of every converted model and compare it with what was written. Folders that
    the cache did not make are left out.
    """
    entries = []
    for folder in sorted(
        path for path in cache_root(cache_dir).iterdir() if path.is_dir() and _manifest(path)
    ):
        with task(f"verifying {folder.name}"):
            try:
                damage = _damage(folder, trust=False)
            except WorkbenchError as error:
                damage = str(error)
        entries.append(CacheEntry(folder, damage))
    return tuple(entries)


def require_space(folder: Path, n_bytes: int, work: str = "converting the model") -> None:
    """Refuse a folder on a disk where fewer than ``n_bytes`` are free for ``work``.

    Raises:
        WorkbenchError: when they are.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise WorkbenchError(
            f"{work} needs {n_bytes / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB are free: "
            f"free some space, or set {CACHE_VARIABLE} to a folder on a larger disk"
        )


@contextmanager
def partial_folder(root: Path, name: str = "") -> Iterator[Path]:
    """Make an empty folder in ``root`` that is marked as made by the cache. It is removed after the
    block, if it is still there.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{name}-", dir=root))
    (folder / MARK).write_text(MADE_BY, encoding="utf-8")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(target: Path, build: Callable[[Path], None]) -> None:
    try:
        _sweep(target)
        with partial_folder(target.parent, target.name) as partial:
            build(partial)
            (partial / MARK).unlink()
            files = sorted(path for path in partial.rglob("*") if path.is_file())
            hashes = {
                str(path.relative_to(partial)): [path.stat().st_size, sha256_of(path)]
                for path in files
            }
            manifest = partial / MANIFEST
            manifest.write_text(
                json.dumps({"made_by": MADE_BY, "files": hashes}, indent=1), encoding="utf-8"
            )
            for path in (*files, manifest, partial):
                sync_to_disk(path)
            partial.rename(target)
            sync_to_disk(target.parent)
    except (OSError, SafetensorError) as error:
        raise _unwritable(target.parent, error) from error
    write_sidecar(target / VERIFIED, {name: mark_of(target / name) for name in hashes})


def _manifest(folder: Path) -> dict[str, list[Any]]:
    """Return the names, sizes and hashes of the files that were written; nothing where the cache
    did not write the folder.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {str(name): list(entry) for name, entry in found["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return files if found.get("made_by") == MADE_BY else {}


def _damage(folder: Path, trust: bool = True) -> str:
    """Return what is wrong with a folder of the cache, "" for nothing. With ``trust``, unchanged
    files are not hashed again.

    Raises:
        WorkbenchError: for a folder that the cache did not make, and one that holds other files
            too.
    """
    manifest = _manifest(folder)
    if not manifest:
        raise WorkbenchError(
            f"{folder} is where a converted model belongs and holds no readable {MANIFEST}, so "
            "it cannot be told what it is: "
            f"move it away, or set {CACHE_VARIABLE} to another folder"
        )
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    strange = sorted(there - manifest.keys() - {MANIFEST})
    if strange:
        raise WorkbenchError(
            f"the converted model {folder} holds {strange[0]}, which was not written with it: take "
            "it out of the folder"
        )
    verified = read_sidecar(folder / VERIFIED) if trust else {}
    marks: dict[str, list[int]] = {}
    for name, entry in manifest.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        marks[name] = mark_of(path)
        if len(entry) != 2 or marks[name][0] != entry[0]:
            return f"{name} has another size than it was written with"
        if verified.get(name) != marks[name] and sha256_of(path) != entry[1]:
            return f"{name} holds other bytes than were written"
    if verified != marks:
        write_sidecar(folder / VERIFIED, marks)
    return ""


def _remove_own(folder: Path) -> None:
    """Remove a folder that holds a manifest of the cache. It is renamed first, so that no process
    finds half of it.

    Raises:
        WorkbenchError: for a link, and for a folder that the cache did not make.
    """
    if folder.is_symlink() or not _manifest(folder):
        raise WorkbenchError(
            f"{folder} is damaged and is a link or not the cache's own: move it away and run again"
        )
    try:
        gone = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{folder.name}-", dir=folder.parent))
        (gone / MARK).write_text(MADE_BY, encoding="utf-8")
        folder.rename(gone / folder.name)
        shutil.rmtree(gone)
    except OSError as error:
        raise _unwritable(folder.parent, error) from error


def _sweep(target: Path) -> None:
    """Remove what killed processes left of this target; only the holder of its lock may
    call this.
    """
    for path in target.parent.glob(f"{PARTIAL}{target.name}-*"):
        if not path.is_symlink() and ((path / MARK).is_file() or _manifest(path)):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of a cache entry, waiting for another process that holds it.

    Raises:
        WorkbenchError: where the file system has no locks.
    """
    locks = target.parent / LOCKS
    try:
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / f"{target.name}.lock")
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            with task(f"waiting for another process that converts {target.name}"):
                lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise _unwritable(target.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(root: object, error: Exception) -> WorkbenchError:
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    why = "the disk is full" if full else str(error)
    return WorkbenchError(
        f"the model cache {root} cannot be written ({why}): "
        f"free some space, or set {CACHE_VARIABLE} to a writable folder on a larger disk"
    )
