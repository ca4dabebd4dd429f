"""A run's folder: one folder a stage, tables as parquet, tensors as safetensors, the rest as JSON; nothing pickled.

Every file is written under a temporary name and renamed, so a reader never sees half a file. A stage's folder carries a
key: the fingerprint of its configuration, of the stages it builds on, and of the code. A finished stage with the same key
is skipped, one with another key is redone from nothing, an unfinished one goes on behind its last finished part. Only the
Trainer's checkpoints, which an unfinished stage resumes from, hold pickled states; they go when it finishes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from workbench import progress
from workbench.errors import WorkbenchError

ROW = "row"
FOR_RESUMING = ("parts", "checkpoints")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    # The writer of tensors has an error of its own for a full disk.
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"Cannot write {path}: {error}. What was written before is kept; run again.") from error


def write_json(path: Path, content: Any) -> None:
    """Indented JSON; NaN becomes null, so every JSON reader takes the file."""
    text = json.dumps(_without_nan(content), indent=2, allow_nan=False)
    write_atomically(path, lambda temporary: temporary.write_text(text + "\n"))


def fingerprint(content: Any) -> str:
    """Short stable hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def code_version() -> str:
    """Hash of the package's source, so that results of other code are not taken for this one's."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Part:
    """What one batch of a stage produced: a table whose ``row`` column names its rows, and arrays along the same rows."""

    table: pd.DataFrame
    tensors: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        for name, array in self.tensors.items():
            if len(array) != len(self.table):
                raise WorkbenchError(f"Tensor {name!r} has {len(array)} rows, its table {len(self.table)}.")


@dataclass(frozen=True)
class StageStore:
    """The folder of one stage."""

    folder: Path
    key: str

    @property
    def done(self) -> bool:
        """Whether the stage finished with this key."""
        return self._state("done.json").get("key") == self.key

    def begin(self) -> None:
        """Make the folder ready: empty, unless it holds unfinished work of the same key."""
        if self.folder.exists() and self._state("begun.json").get("key") != self.key:
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "begun.json", {"key": self.key})

    def finish(self, facts: dict[str, Any]) -> None:
        """Mark the stage as finished, with facts such as its seconds; what it kept for resuming is removed."""
        write_json(self.folder / "done.json", {"key": self.key, **facts})
        for name in FOR_RESUMING:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def facts(self) -> dict[str, Any]:
        """What :meth:`finish` was given."""
        return self._state("done.json")

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        write_atomically(self.folder / f"{name}.parquet", lambda path: table.to_parquet(path, index=False))

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def save_tensors(self, name: str, tensors: dict[str, NDArray[Any]]) -> None:
        contiguous = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        write_atomically(self.folder / f"{name}.safetensors", lambda path: save_file(contiguous, path))

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        return load_file(self.folder / f"{name}.safetensors")

    def spent(self) -> float:
        """Seconds of work in earlier, interrupted attempts at this stage."""
        return float(self._state("spent.json").get("seconds", 0.0))

    def note_spent(self, seconds: float) -> None:
        write_json(self.folder / "spent.json", {"seconds": seconds})

    def _state(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.exists():
            return {}
        try:
            return dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise WorkbenchError(f"{path} is damaged; delete the folder {self.folder} and run again.") from error


@dataclass(frozen=True)
class RunStore:
    """The folder of one run."""

    folder: Path

    def stage(self, name: str, key: str) -> StageStore:
        return StageStore(self.folder / name, key)


def run_parts(stage: StageStore, batches: Sequence[Any], compute: Callable[[Any], Part], description: str) -> Part:
    """Compute every batch, keeping each as it is done, and return all rows in the order of their ``row``.

    A killed process loses the batch it was in; finished ones are read back.
    """
    folder = stage.folder / "parts"
    names = [f"{description.replace(' ', '-')}-{index:05d}" for index in range(len(batches))]
    parts: list[Part] = []
    store = StageStore(folder, stage.key)
    before, started = stage.spent(), time.monotonic()
    for name, batch in zip(names, progress.track(batches, description), strict=True):
        if not (folder / f"{name}.parquet").exists():
            part = compute(batch)
            store.save_tensors(name, part.tensors)
            store.save_table(name, part.table)
            stage.note_spent(before + time.monotonic() - started)
        parts.append(Part(store.table(name), store.tensors(name)))
    return merge_parts(parts)


def merge_parts(parts: Iterable[Part]) -> Part:
    """All parts as one, sorted by row (stable, so several lines of one row keep their order)."""
    items = list(parts)
    table = pd.concat([part.table for part in items], ignore_index=True)
    order = np.argsort(table[ROW].to_numpy(), kind="stable")
    tensors = {name: np.concatenate([part.tensors[name] for part in items])[order] for name in items[0].tensors}
    return Part(table.iloc[order].reset_index(drop=True), tensors)


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    if isinstance(content, np.generic):
        content = content.item()
    if isinstance(content, float) and not np.isfinite(content):
        return None
    return content
