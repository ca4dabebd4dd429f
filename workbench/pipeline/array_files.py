"""Read arrays from a safetensors file, all of them or some and nothing of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file


def read_arrays(path: Path, keys: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name; where ``keys`` are given, those of them that are there.

    Raises:
        OSError: where the file is missing.
        SafetensorError: where it is damaged.
    """
    if not keys:
        return load_file(path)
    with safe_open(path, framework="np") as kept:
        there = {*kept.keys()}
        return {key: kept.get_tensor(key) for key in keys if key in there}
