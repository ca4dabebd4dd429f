"""List the tensors of a safetensors checkpoint by where they lie in its files, and map single ones
into memory.

A file's header (eight bytes that give its length, then JSON) names every tensor with its dtype,
shape and place. Each tensor is mapped by itself, as a view that is not copied: its pages are read
when they are touched, shared with other processes, and given back when the view is dropped. A
mapping of the whole file would keep the pages of every tensor as long as one of them is in use.
"""

from __future__ import annotations

import json
import mmap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.errors import WorkbenchError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: ``nbytes`` bytes from the byte ``start`` on."""

    path: Path
    start: int
    nbytes: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    def map(self) -> Tensor:
        """Return the tensor as a view of its file; it must not be written to."""
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        first = self.start - self.start % mmap.ALLOCATIONGRANULARITY
        with self.path.open("rb") as file:
            pages = mmap.mmap(
                file.fileno(),
                self.start - first + self.nbytes,
                access=mmap.ACCESS_READ,
                offset=first,
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the view is not to be written to
            raw = torch.frombuffer(pages, dtype=torch.uint8, offset=self.start - first)
        if self.start % self.dtype.itemsize:
            raw = raw.clone()
        return raw.view(self.dtype).reshape(self.shape)


def touch_pages(tensor: Tensor) -> None:
    """Read one byte of every page of a mapped tensor, so that later use does not wait for the
    disk. Other threads go on meanwhile.
    """
    raw = tensor.reshape(-1).view(torch.uint8).numpy()
    np.max(raw[:: mmap.PAGESIZE], initial=0)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Return every tensor of the checkpoint in ``folder`` by its name.

    Raises:
        WorkbenchError: for a folder without safetensors files, a damaged one, and a dtype that
            torch does not compute in.
    """
    found: dict[str, StoredTensor] = {}
    for path in _files(folder):
        found.update(_tensors_of(path))
    return found


def _files(folder: Path) -> list[Path]:
    index, single = folder / INDEX, folder / SINGLE
    if index.exists():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            names = sorted(set(weight_map.values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkbenchError(
                f"{index} names no files of weights: download the model again"
            ) from error
        return [folder / name for name in names]
    if single.exists():
        return [single]
    raise WorkbenchError(
        f"{folder} holds neither {SINGLE} nor {INDEX}, so its layers cannot be read one by one: "
        "give a checkpoint in safetensors, or leave out placement=stream"
    )


def _tensors_of(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        rows = [(name, row) for name, row in header.items() if name != "__metadata__"]
        for name, row in rows:
            begin, end = row["data_offsets"]
            shape = tuple(row["shape"])
            if row["dtype"] not in DTYPES:
                raise WorkbenchError(
                    f"the weight {name!r} in {path} is stored as {row['dtype']}, which cannot be "
                    "streamed: give a checkpoint in float32, bfloat16 or float16"
                )
            dtype = DTYPES[row["dtype"]]
            nbytes = prod(shape) * dtype.itemsize
            if end - begin != nbytes or 8 + length + end > size:
                raise ValueError(f"{name} does not fit its place")
            yield name, StoredTensor(path, 8 + length + begin, nbytes, dtype, shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkbenchError(
            f"the weights in {path} cannot be read ({error}): download the file again"
        ) from error
