"""Write recorded states shard by shard, so that a killed process loses the shard it was in.

A shard is written under a temporary name, synced, renamed, and only then named in the manifest. A
writer that is opened on a folder with shards of the same layout goes on from them, after comparing
every piece with its checksum; a shard that was damaged counts as not written.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.files.writing import sweep_temporary_files
from workbench.states.layout import Layout
from workbench.states.manifest import (
    Shard,
    append_shard,
    drop_cut_line,
    read_manifest,
    start_manifest,
)
from workbench.states.names import ENDING, MANIFEST
from workbench.states.recorded import RecordedStates, open_states
from workbench.states.shard import checksum, read_piece, write_shard

AGAIN = "delete the folder and record the states again"


@dataclass(eq=False)
class StatesWriter:
    """A folder that states are recorded into; it belongs to the writer alone.

    States of another layout in it are removed, as are temporary files of a killed process.
    """

    folder: Path
    layout: Layout
    _shards: dict[str, Shard] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if (self.folder / MANIFEST).exists() and self._continues():
            sweep_temporary_files(self.folder)
            drop_cut_line(self.folder)
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        start_manifest(self.folder, self.layout)

    def _continues(self) -> bool:
        """Take over the folder's whole shards, if they have this writer's layout."""
        try:
            layout, shards = read_manifest(self.folder, AGAIN)
        except WorkbenchError:
            return False
        if layout != self.layout:
            return False
        self._shards = {
            name: shard for name, shard in shards.items() if is_whole(self.folder, shard)
        }
        return True

    def holds(self, name: str, rows: ArrayLike) -> bool:
        """Return whether the shard ``name`` is there, with these questions in this order."""
        shard = self._shards.get(name + ENDING)
        return shard is not None and np.array_equal(shard.rows, np.asarray(rows))

    def write(self, name: str, rows: ArrayLike, states: NDArray[np.floating] | Tensor) -> None:
        """Write the ``states`` [n, layers, positions, width] of the questions ``rows`` [n] as the
        shard ``name``, in place of one of this name.

        Raises:
            WorkbenchError: for another shape, for states that the number format cannot hold, for a
                question twice, and where a file cannot be written.
        """
        numbers = np.asarray(rows, dtype=np.int64)
        if numbers.shape != (len(states),) or len(np.unique(numbers)) != len(numbers):
            raise WorkbenchError(
                f"{len(states)} states need as many different questions; {numbers.shape} were given"
            )
        path = self.folder / f"{name}{ENDING}"
        checksums = write_shard(path, self.layout, states)
        shard = Shard(path.name, path.stat().st_size, numbers, checksums)
        append_shard(self.folder, shard)
        self._shards[shard.file] = shard

    def finish(self) -> RecordedStates:
        """Return all states, in the order of the questions' numbers.

        Raises:
            WorkbenchError: where a question stands in two shards, or nothing was written.
        """
        return open_states(self.folder, AGAIN)


def is_whole(folder: Path, shard: Shard) -> bool:
    """Return whether a shard holds what was written, every piece compared with its checksum."""
    path = folder / shard.file
    try:
        return path.stat().st_size == shard.size and all(
            checksum(read_piece(path, layer, position)) == wanted
            for layer, row in enumerate(shard.checksums)
            for position, wanted in enumerate(row)
        )
    except (OSError, SafetensorError):
        return False
