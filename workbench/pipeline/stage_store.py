"""Keep the folder of one stage: its tables, tensors and facts, sealed when the stage finishes.

``begun.json`` holds the key with which work began and what the key was made from, ``done.json`` the
key of finished work, its facts, and size and SHA-256 of each file and of its own content. They are
compared when a file is read and when somebody asks whether the stage is done, so that a result that
was damaged later is named and never used.

Large recorded states lie in the folder ``states`` as shards (:mod:`workbench.states`). Only their
manifest is sealed; it has a checksum of each piece, compared when the piece is read. Sealing shards
whole would read them all whenever somebody asks whether the stage is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from workbench.errors import WorkbenchError
from workbench.files.json_files import read_json
from workbench.files.ownership import MARK, claim_folder, is_own, remove_own_folder
from workbench.files.seals import damaged, find_fault, seal_files
from workbench.files.writing import (
    cannot_write,
    is_temporary,
    without_nan,
    write_atomically,
    write_json,
)
from workbench.pipeline.array_files import read_arrays
from workbench.pipeline.fingerprint import digest_of
from workbench.states.names import ENDING, MANIFEST

if TYPE_CHECKING:
    from workbench.states.recorded import RecordedStates

FOR_RESUMING = ("parts", "checkpoints")
BEGUN, DONE, SPENT = "begun.json", "done.json", "spent.json"
STATES = "states"
_DIGEST = "digest"

Content = TypeVar("Content")


@dataclass(frozen=True)
class StageStore:
    """The folder of one stage."""

    folder: Path
    key: str

    @property
    def done(self) -> bool:
        """Whether the stage finished with this key.

        Raises:
            WorkbenchError: where it did and one of its files has changed since; it names the file
                and the mend.
        """
        facts = self.facts()
        if facts.get("key") != self.key:
            return False
        fault = find_fault(self.folder, self._seals(facts), presence=True)
        if fault is not None:
            raise damaged(fault, self._mend)
        self.states()
        return True

    def require_done(self) -> None:
        """Refuse a stage that is not finished.

        Raises:
            WorkbenchError: where the stage has not finished with this key, or one of its files was
                damaged.
        """
        if not self.done:
            raise WorkbenchError(
                f"The stage in {self.folder} has not finished; run it again first."
            )

    def begin(self, made_from: Mapping[str, Any] | None = None) -> None:
        """Make the folder ready: empty, unless it holds unfinished or finished work of the same
        key.

        Args:
            made_from: the contents of the key, kept to tell later what changed.

        Raises:
            WorkbenchError: where the folder, or a file in a finished stage's, is somebody else's;
                nothing is touched then.
        """
        if self.folder.is_symlink():
            raise WorkbenchError(
                f"{self.folder} is a link, where a stage's folder is to be; remove it and run "
                "again."
            )
        if is_own(self.folder) and self.begun().get("key") != self.key:
            self._check_all_ours()
            remove_own_folder(self.folder)
        claim_folder(self.folder, "another name for the run")
        write_json(self.folder / BEGUN, {"key": self.key, "made_from": made_from or {}})

    def finish(self, facts: dict[str, Any]) -> None:
        """Mark the stage as finished, with facts such as its seconds, and remove what it kept for
        resuming.

        Raises:
            WorkbenchError: if a file cannot be written.
        """
        try:
            seals = seal_files(self.folder, self._results())
        except OSError as error:
            raise cannot_write(self.folder / DONE, error) from error
        made_from = self.begun().get("made_from", {})
        self._write_done(
            without_nan({"key": self.key, **facts, "made_from": made_from, "files": seals})
        )
        for name in FOR_RESUMING:
            for place in sorted(self.folder.rglob(name)):
                shutil.rmtree(place, ignore_errors=True)

    def facts(self) -> dict[str, Any]:
        """Return the facts given to :meth:`finish`, the key, its contents, and the seals of the
        files; nothing before the stage finished.

        Raises:
            WorkbenchError: where the file that holds them is damaged.
        """
        content = read_json(self.folder / DONE, self._mend)
        if not content:
            return {}
        digest = content.pop(_DIGEST, None)
        if digest != digest_of(content):
            raise damaged(
                f"{self.folder / DONE} holds something else than what was written", self._mend
            )
        return content

    def begun(self) -> dict[str, Any]:
        """Return the key with which work began and its contents; nothing where that is not
        known.
        """
        try:
            return read_json(self.folder / BEGUN, "")
        except WorkbenchError:
            return {}

    def save_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table."""
        write_atomically(
            self.folder / f"{name}.parquet", lambda path: table.to_parquet(path, index=False)
        )

    def table(self, name: str) -> pd.DataFrame:
        """Read a table.

        Raises:
            WorkbenchError: where it is missing or damaged.
        """
        return self._read(f"{name}.parquet", pd.read_parquet)

    def save_tensors(self, name: str, tensors: dict[str, NDArray[Any]]) -> None:
        """Write arrays by name."""
        contiguous = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        write_atomically(
            self.folder / f"{name}.safetensors", lambda path: save_file(contiguous, path)
        )

    def tensors(self, name: str, *keys: str) -> dict[str, NDArray[Any]]:
        """Read arrays by name; where ``keys`` are given, those of them that are there alone.

        Raises:
            WorkbenchError: where they are missing or damaged.
        """
        return self._read(f"{name}.safetensors", lambda path: read_arrays(path, keys))

    def states(self) -> RecordedStates | None:
        """Open the recorded states that lie in shards, in the order of their questions' numbers;
        None where there are none.

        Raises:
            WorkbenchError: where the manifest is damaged, or a shard is missing.
        """
        if not self.holds(f"{STATES}/{MANIFEST}"):
            return None
        from workbench.states.recorded import open_states

        return open_states(self.checked(STATES), self._mend)

    def holds(self, name: str) -> bool:
        """Return whether the stage wrote a file of this name; of a finished stage also where it was
        deleted since.
        """
        return name in self._seals(self.facts()) or (self.folder / name).exists()

    def checked(self, name: str) -> Path:
        """Return the path of a file or folder of a finished stage, after comparing it with its
        seals, for readers outside this class.

        Raises:
            WorkbenchError: where it is missing or damaged.
        """
        path = self.folder / name
        seals = {
            file: seal
            for file, seal in self._seals(self.facts()).items()
            if file == name or file.startswith(f"{name}/")
        }
        fault = find_fault(self.folder, seals) or (None if path.exists() else f"{path} is missing")
        if fault is not None:
            raise damaged(fault, self._mend)
        return path

    def amend(self, name: str) -> None:
        """Seal a file of the finished stage anew that a later stage wrote on purpose, such as a
        model's card.
        """
        content = dict(self.facts())
        if not content:
            return
        content["files"] = {**self._seals(content), **seal_files(self.folder, [self.folder / name])}
        self._write_done(content)

    def spent(self) -> float:
        """Return the seconds of work in earlier, interrupted attempts at this stage; a damaged
        record of them counts as none.
        """
        try:
            return float(read_json(self.folder / SPENT, "").get("seconds", 0.0))
        except (WorkbenchError, TypeError, ValueError):
            return 0.0

    def note_spent(self, seconds: float) -> None:
        """Keep the seconds of work so far."""
        write_json(self.folder / SPENT, {"seconds": seconds}, sync=False)

    def _write_done(self, content: Mapping[str, Any]) -> None:
        # No newline at the end: a file that lost its last byte is no JSON.
        text = json.dumps({**content, _DIGEST: digest_of(content)}, indent=2, allow_nan=False)
        write_atomically(self.folder / DONE, lambda path: path.write_text(text))

    @property
    def _mend(self) -> str:
        return f"delete the folder {self.folder} and run again"

    def _read(self, name: str, read: Callable[[Path], Content]) -> Content:
        path = self.checked(name)
        try:
            return read(path)
        except (OSError, ValueError, SafetensorError, pyarrow.ArrowException) as error:
            raise damaged(f"{path} cannot be read ({error})", self._mend) from error

    def _seals(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return dict(facts.get("files", {}))

    def _results(self) -> Iterator[Path]:
        """Yield the files of the stage that are its results and are sealed whole."""
        own, shards = {BEGUN, DONE, SPENT, MARK}, set(self._shards())
        for path in self.folder.rglob("*"):
            inside = path.relative_to(self.folder).parts
            passing = any(part in FOR_RESUMING for part in inside) or is_temporary(path)
            if path.is_file() and not passing and inside[-1] not in own and path not in shards:
                yield path

    def _shards(self) -> Iterator[Path]:
        """Yield the shards of recorded states."""
        if (self.folder / STATES / MANIFEST).exists():
            yield from sorted((self.folder / STATES).glob(f"*{ENDING}"))

    def _check_all_ours(self) -> None:
        """Refuse to empty a finished stage's folder that holds a file of somebody else.

        Raises:
            WorkbenchError: if it holds one.
        """
        try:
            seals = self._seals(self.facts())
        except WorkbenchError:
            return
        foreign = [
            path
            for path in self._results()
            if path.relative_to(self.folder).as_posix() not in seals
        ]
        if seals and foreign:
            raise WorkbenchError(
                f"{foreign[0]} was not written by the workbench, and its folder is to be emptied; "
                "move the file away and run again."
            )
