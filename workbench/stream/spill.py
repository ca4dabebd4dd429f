"""Move the tensors that waiting tasks hold into files, and let the system decide what of them stays
in memory.

A tensor that is spilled keeps its place in every frame and cache that refers to it: its numbers
are copied into a file without a name, which is mapped where its memory was. The file goes when the
tensor does. Its pages count as the system's memory of files, which it writes out and takes back
under pressure; this process lets go of them while a task waits. So a bound on memory holds however
many batches wait, as far as the disk has room, and no number changes.

Tensors of an accelerator come back to it before their task goes on. Small tensors, and views of a
part of something larger, stay where they are.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from workbench.errors import WorkbenchError

SMALLEST = 2**16
Moved = Sequence[tuple[Tensor, torch.device]]
"""Tensors that were moved off an accelerator, and where they belong."""


class SpillFolder:
    """Files in ``folder`` for the tensors of waiting tasks.

    Attributes:
        bytes_written: copied into files so far.
        bytes_held: of files there are now.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise WorkbenchError(f"there is no folder {folder} to spill into: make it, or name one")
        self.folder = folder
        self.bytes_written = 0
        self.bytes_held = 0
        self._pages: dict[int, weakref.ref[mmap.mmap]] = {}

    def spill(self, tensors: Iterable[Tensor]) -> Moved:
        """Move tensors into files; those that are there already only leave this process's memory.
        Return what :func:`bring_back` needs.
        """
        moved: dict[int, tuple[Tensor, torch.device]] = {}
        for tensor in tensors:
            pages = self._pages.get(tensor.untyped_storage().data_ptr(), lambda: None)()
            if pages is not None:
                _let_go(pages)
            elif _is_movable(tensor):
                if tensor.device.type != "cpu":
                    moved[id(tensor)] = (tensor, tensor.device)
                tensor.data = self._copy(tensor)
        return list(moved.values())

    def holds(self, tensor: Tensor) -> bool:
        """Return whether a tensor lies in a file."""
        return tensor.untyped_storage().data_ptr() in self._pages

    def _copy(self, tensor: Tensor) -> Tensor:
        nbytes = tensor.numel() * tensor.element_size()
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.truncate(nbytes)
            pages = mmap.mmap(file.fileno(), nbytes)
        copy = torch.frombuffer(pages, dtype=tensor.dtype).reshape(tensor.shape)
        copy.copy_(tensor)
        _let_go(pages)
        place = copy.untyped_storage().data_ptr()
        self._pages[place] = weakref.ref(pages)
        weakref.finalize(pages, self._forget, place, nbytes).atexit = False
        self.bytes_written += nbytes
        self.bytes_held += nbytes
        return copy

    def _forget(self, place: int, nbytes: int) -> None:
        self._pages.pop(place, None)
        self.bytes_held -= nbytes


def bring_back(moved: Moved) -> None:
    """Move tensors back to the accelerator they were on."""
    for tensor, device in moved:
        tensor.data = tensor.to(device)


def _is_movable(tensor: Tensor) -> bool:
    """Return whether a tensor is worth a file, and all there is in its memory."""
    nbytes = tensor.numel() * tensor.element_size()
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == nbytes
    return nbytes >= SMALLEST and whole and not tensor.requires_grad


def _let_go(pages: mmap.mmap) -> None:
    """Take the pages of a mapped file out of this process's memory; the system keeps them."""
    if hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def held_bytes(tensors: Iterable[Tensor], spill: SpillFolder) -> int:
    """Return the bytes of tensors, what they share once and without what lies in files."""
    sizes: dict[int, int] = {}
    for tensor in tensors:
        if spill.holds(tensor):
            continue
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
    return sum(sizes.values())


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in arguments of a layer, those of its caches too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, Cache):
        yield from tensors_in([vars(layer) for layer in value.layers])
        yield from tensors_in({k: v for k, v in vars(value).items() if k != "layers"})
