"""Say what the recorded states of a folder are: how many layers, which positions, how wide, and in
which number format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from workbench.errors import WorkbenchError

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""The number formats in which states are kept, by name."""


@dataclass(frozen=True)
class Layout:
    """The axes of recorded states, questions aside.

    Attributes:
        positions: the names of the token positions.
        dtype: one of :data:`DTYPES`.
        source: a fingerprint of what was recorded, where the folder does not say it; a writer does
            not go on from the states of another.

    Raises:
        WorkbenchError: for an empty axis or another number format.
    """

    layers: int
    positions: tuple[str, ...]
    width: int
    dtype: str
    source: str = ""

    def __post_init__(self) -> None:
        if self.layers < 1 or self.width < 1 or not self.positions:
            raise WorkbenchError(
                f"States of {self.layers} layers, {len(self.positions)} positions and width "
                f"{self.width} cannot be kept; no axis may be empty."
            )
        if self.dtype not in DTYPES:
            raise WorkbenchError(
                f"States cannot be kept in {self.dtype!r}; use one of {', '.join(DTYPES)}."
            )

    @property
    def torch_dtype(self) -> torch.dtype:
        """The number format as torch names it."""
        return DTYPES[self.dtype]

    @property
    def bytes_per_question(self) -> int:
        """The bytes of one question's states."""
        return self.layers * len(self.positions) * self.width * self.torch_dtype.itemsize

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON takes it."""
        return {
            "layers": self.layers,
            "positions": list(self.positions),
            "width": self.width,
            "dtype": self.dtype,
            "source": self.source,
        }

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Layout:
        """Read a layout from its JSON.

        Raises:
            KeyError, TypeError, ValueError: for other content.
        """
        return cls(
            int(content["layers"]),
            tuple(str(name) for name in content["positions"]),
            int(content["width"]),
            str(content["dtype"]),
            str(content["source"]),
        )
