"""Index recorded states on disk like an array, reading only what is taken.

:class:`RecordedStates` stands for [questions, layers, positions, width] in float32. Indexing with
numbers, slices, masks and lists of numbers, one for each axis but the last, returns another of its
kind, without reading: every axis is cut by itself, so ``states[rows, layers]`` holds all of these
layers of all of these questions. A number takes its axis away, ``None`` puts one of length 1.
``numpy.asarray`` reads. So rooms that were written for arrays take it where they end in
``asarray``, and only a layer and position that are read cost anything.

Each piece, a shard's layer and position, is compared with its checksum the first time this process
reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from workbench.arrays import Rows
from workbench.errors import WorkbenchError
from workbench.files.seals import damaged
from workbench.states.layout import Layout
from workbench.states.manifest import Shard, read_manifest
from workbench.states.shard import checksum, read_piece

QUESTIONS, LAYERS, POSITIONS = range(3)
AXES = ("questions", "layers", "positions")


@dataclass(frozen=True, eq=False)
class _Folder:
    """The shards of a folder, and where each question is.

    Attributes:
        shard_of, row_in: [n] the shard of each question, and its row there.
        compared: the pieces that were compared with their checksums.
        read_bytes: bytes of pieces read so far.
    """

    path: Path
    layout: Layout
    shards: tuple[Shard, ...]
    shard_of: Rows
    row_in: Rows
    mend: str
    compared: set[tuple[int, int, int]] = field(default_factory=set)
    read_bytes: list[int] = field(default_factory=lambda: [0])

    def piece(self, number: int, layer: int, position: int) -> Tensor:
        """Return the states [rows, width] of a shard's layer and position.

        Raises:
            WorkbenchError: where they are not what was written.
        """
        shard = self.shards[number]
        path = self.path / shard.file
        try:
            piece = read_piece(path, layer, position)
        except (OSError, SafetensorError, IndexError) as error:
            raise damaged(f"{path} cannot be read ({error})", self.mend) from error
        at = (number, layer, position)
        if at not in self.compared:
            if len(piece) != len(shard.rows) or checksum(piece) != shard.checksums[layer][position]:
                raise damaged(
                    f"{path} holds other states at layer {layer}, position "
                    f"{self.layout.positions[position]!r}, than were written",
                    self.mend,
                )
            self.compared.add(at)
        self.read_bytes[0] += piece.numel() * piece.element_size()
        return piece


@dataclass(frozen=True, eq=False)
class RecordedStates:
    """States on disk, read when they are taken.

    Attributes:
        chosen: the numbers taken of each axis, [questions], [layers], [positions].
        axes: which of these axes are left, in order, ``None`` for an axis of length 1; the width
            comes after them.
    """

    folder: _Folder
    chosen: tuple[Rows, Rows, Rows]
    axes: tuple[int | None, ...] = (QUESTIONS, LAYERS, POSITIONS)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes, the width included."""
        kept = (1 if axis is None else len(self.chosen[axis]) for axis in self.axes)
        return (*kept, self.folder.layout.width)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.axes) + 1

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """The number format in which states are read."""
        return np.dtype(np.float32)

    @property
    def layout(self) -> Layout:
        """What the folder holds."""
        return self.folder.layout

    @property
    def read_bytes(self) -> int:
        """The bytes that were read of the folder so far, by all that was taken from it."""
        return self.folder.read_bytes[0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> RecordedStates:
        """Take numbers, slices, masks or lists along the axes before the width, without reading.

        Raises:
            WorkbenchError: for more indices than axes, and for one along the width.
            IndexError: for a number beyond an axis.
        """
        keys = key if isinstance(key, tuple) else (key,)
        questions, layers, positions = self.chosen
        chosen, left = [questions, layers, positions], list(self.axes)
        axes: list[int | None] = []
        for one in keys:
            if one is None:
                axes.append(None)
                continue
            if not left:
                raise WorkbenchError(
                    "Recorded states are taken whole along their width; index what numpy.asarray "
                    "reads of them."
                )
            axis = left.pop(0)
            taken = np.arange(1 if axis is None else len(chosen[axis]))[one]
            if taken.ndim > 1:
                raise WorkbenchError("Take recorded states by a list of numbers or a mask an axis.")
            if axis is not None:
                chosen[axis] = np.atleast_1d(chosen[axis][taken])
            elif taken.ndim and len(taken) != 1:
                raise WorkbenchError("An axis of length 1 cannot be cut.")
            if taken.ndim:
                axes.append(axis)
        return replace(self, chosen=(chosen[0], chosen[1], chosen[2]), axes=(*axes, *left))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read the states.

        Raises:
            WorkbenchError: where a shard is missing or damaged.
        """
        if copy is False:
            raise ValueError("recorded states are read from disk, which makes a copy")
        questions, layers, positions = self.chosen
        out = torch.empty(
            (len(questions), len(layers), len(positions), self.folder.layout.width),
            dtype=torch.float32,
        )
        for indices, shard, rows in self._by_shard(questions):
            for i, layer in enumerate(layers.tolist()):
                for j, position in enumerate(positions.tolist()):
                    out[indices, i, j] = self.folder.piece(shard, layer, position)[rows].float()
        found: NDArray[Any] = out.numpy().transpose(*self._order()).reshape(self.shape)
        return found if dtype is None else found.astype(dtype, copy=False)

    def blocks(self, most_rows: int) -> Iterator[tuple[Rows, Tensor]]:
        """Read states of one layer and position [questions, width] in the order in which they lie
        on the disk, at most ``most_rows`` at once.

        Yields:
            The questions' places on this array's first axis, and their states in the number format
            of the disk.

        Raises:
            WorkbenchError: where more than one layer or position is left, or a shard is damaged.
        """
        questions, layers, positions = self.chosen
        if self.axes != (QUESTIONS,):
            raise WorkbenchError(
                f"Blocks are read of one layer and position; these states are {self.shape}."
            )
        held: list[tuple[Tensor, Tensor]] = []
        count = 0
        for indices, shard, rows in self._by_shard(questions):
            piece = self.folder.piece(shard, int(layers[0]), int(positions[0]))[rows]
            for start in range(0, len(indices), most_rows):
                part = slice(start, start + most_rows)
                if count + len(indices[part]) > most_rows:
                    yield _joined(held)
                    held, count = [], 0
                held.append((indices[part], piece[part]))
                count += len(indices[part])
        if held:
            yield _joined(held)

    def _by_shard(self, questions: Rows) -> Iterator[tuple[Tensor, int, Tensor]]:
        """Yield, for each shard with some of these ``questions``, their places among them, the
        shard's number, and their rows in it.
        """
        shards = self.folder.shard_of[questions]
        order = np.argsort(shards, kind="stable")
        ends = np.flatnonzero(np.diff(shards[order])) + 1
        for places in np.split(order, ends):
            if len(places):
                rows = self.folder.row_in[questions[places]]
                yield torch.from_numpy(places), int(shards[places[0]]), torch.from_numpy(rows)

    def _order(self) -> tuple[int, ...]:
        """Return the order of the four axes as they are read, with those left first in theirs."""
        left = [axis for axis in self.axes if axis is not None]
        return (*left, *(axis for axis in range(3) if axis not in left), 3)


def _joined(held: list[tuple[Tensor, Tensor]]) -> tuple[Rows, Tensor]:
    return torch.cat([at for at, _ in held]).numpy(), torch.cat([states for _, states in held])


def open_states(folder: Path, mend: str) -> RecordedStates:
    """Open the states in a folder, in the order of the questions' numbers, reading the manifest
    alone.

    Args:
        mend: what errors advise where states are missing or damaged.

    Raises:
        WorkbenchError: where there is no manifest, it names no question or one twice, or a shard is
            missing or has another size than when it was written.
    """
    layout, named = read_manifest(folder, mend)
    shards = tuple(named.values())
    for shard in shards:
        path = folder / shard.file
        if not path.is_file():
            raise damaged(f"{path} is missing", mend)
        if path.stat().st_size != shard.size:
            raise damaged(f"{path} has {path.stat().st_size} bytes instead of {shard.size}", mend)
    if not shards:
        raise WorkbenchError(f"{folder} holds no states yet; {mend}.")
    numbers = np.concatenate([shard.rows for shard in shards])
    order = np.argsort(numbers, kind="stable")
    if len(np.unique(numbers)) != len(numbers):
        twice = numbers[order][:-1][np.diff(numbers[order]) == 0][0]
        raise WorkbenchError(f"{folder} holds the states of question {twice} twice; {mend}.")
    shard_of = np.repeat(np.arange(len(shards)), [len(shard.rows) for shard in shards])
    row_in = np.concatenate([np.arange(len(shard.rows)) for shard in shards])
    held = _Folder(folder, layout, shards, shard_of[order], row_in[order], mend)
    whole = (np.arange(len(numbers)), np.arange(layout.layers), np.arange(len(layout.positions)))
    return RecordedStates(held, whole)
