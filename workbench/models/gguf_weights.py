"""Write the dequantised weights of a GGUF file as safetensors, one tensor after the other.

The order of dimensions and of the rows of heads, and the names, are those that transformers'
reader of GGUF files gives; only what it keeps in memory until the model is whole is written here
once ``SHARD_BYTES`` are together. The most that is in memory is that and one more tensor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import dequantize
from safetensors.torch import save_file
from transformers import WeightConverter
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.integrations.gguf.utils import is_gguf_arch_supported
from transformers.modeling_gguf_pytorch_utils import (
    TENSOR_PROCESSORS,
    TensorProcessor,
    get_gguf_hf_weights_map,
    load_gguf_checkpoint,
)
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from workbench.compat import trim_heap
from workbench.progress import task

SHARD_BYTES = 1 << 30


def single_tensors(architecture: str, model: Any) -> bool:
    """Return whether each weight of ``model`` is one tensor of its GGUF file, changed in shape and
    order at most.
    """
    return not is_gguf_arch_supported(architecture) and not any(
        isinstance(change, WeightConverter) for change in get_model_conversion_mapping(model)
    )


def write_weights(gguf: Path, reader: Any, model: Any, folder: Path) -> None:
    """Write the weights of ``gguf``, open in ``reader``, under the names of ``model`` (without
    weights of its own) as safetensors into ``folder``.
    """
    read = load_gguf_checkpoint(str(gguf), return_tensors=False)
    kind = TENSOR_PROCESSORS.get(reader.get_field("general.architecture").contents())
    processor = (kind or TensorProcessor)(config=read["config"])
    names = get_gguf_hf_weights_map(model, processor)
    handed: dict[str, Any] = {}  # where some processors put a tensor instead of returning it
    shards = _Shards(folder)
    n_weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    with task(f"dequantising {gguf.name} (million weights)", n_weights / 1e6) as progress:
        for tensor in reader.tensors:
            shards.make_room(4 * int(tensor.n_elements))
            changed = processor.process(
                weights=dequantize(tensor.data, tensor.tensor_type),
                name=tensor.name,
                tensor_key_mapping=names,
                parsed_parameters={"tensors": handed},
            )
            if changed.name in names:
                shards.add(names[changed.name], changed.weights)
            for name in tuple(handed):
                shards.add(name, handed.pop(name).numpy())
            del changed
            progress.advance(int(tensor.n_elements) / 1e6)
    shards.finish()


class _Shards:
    """The safetensors files of a checkpoint, each written when it is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pending: dict[str, torch.Tensor] = {}
        self._written: list[tuple[Path, tuple[str, ...]]] = []
        self._bytes = 0

    def make_room(self, n_bytes: int) -> None:
        """Write what is together if ``n_bytes`` more would be too many."""
        if sum(each.nbytes for each in self._pending.values()) + n_bytes > SHARD_BYTES:
            self._write()

    def add(self, name: str, weights: np.ndarray) -> None:
        # A copy where it is a view: of the file, or of weights in another order.
        own = weights if weights.flags.owndata and weights.flags.c_contiguous else weights.copy("C")
        self._pending[name] = torch.from_numpy(own)

    def finish(self) -> None:
        """Write what is left, and give the files the names that transformers looks for."""
        self._write()
        if len(self._written) == 1:
            self._written[0][0].rename(self._folder / SAFE_WEIGHTS_NAME)
            return
        stem, suffix = SAFE_WEIGHTS_NAME.split(".")
        places = {}
        for number, (path, names) in enumerate(self._written, 1):
            file = f"{stem}-{number:05d}-of-{len(self._written):05d}.{suffix}"
            path.rename(self._folder / file)
            places.update(dict.fromkeys(names, file))
        index = {"metadata": {"total_size": self._bytes}, "weight_map": places}
        (self._folder / SAFE_WEIGHTS_INDEX_NAME).write_text(
            json.dumps(index, indent=2, sort_keys=True), encoding="utf-8"
        )

    def _write(self) -> None:
        if not self._pending:
            return
        path = self._folder / f"{len(self._written)}.safetensors"
        save_file(self._pending, path, metadata={"format": "pt"})
        self._bytes += sum(each.nbytes for each in self._pending.values())
        self._written.append((path, tuple(self._pending)))
        self._pending = {}
        trim_heap()
