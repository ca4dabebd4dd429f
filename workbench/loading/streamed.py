"""Load a model of which one layer after another is read when passes need it.

The configuration, the tokenizer and everything outside the layers are loaded as ever
(:func:`workbench.loading.load_model`); the layers stay in their files. The model is verified as any
other, on passes through its first layers alone: as many as show every kind of layer it has.

What it takes in memory: embedding and head, two layers, what the one batch that runs needs, and
what the others hold while they wait, at most ``most_waiting_bytes``; beyond that they wait in
files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download

from workbench.errors import WorkbenchError
from workbench.models.source import ModelSource
from workbench.models.weights import Kernel
from workbench.stream.gates import LayerStream
from workbench.stream.skeleton import build_skeleton, layers_path
from workbench.stream.spill import SpillFolder

WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
FIRST_LAYERS = "+first-layers"
"""Added to the revision under which is kept what was verified on first layers alone."""


def require_streamable(spec: str, quantised: bool, precision: str) -> None:
    """Refuse what cannot be read layer by layer, before anything is read.

    Raises:
        WorkbenchError: for quantised weights and for products in another precision than the
            weights'.
    """
    if quantised:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised, and quantised layers are not read one by one: "
            "give the plain checkpoint with model.quantize=none, or set model.placement=device"
        )
    if precision != "float32":
        raise WorkbenchError(
            "a model that is read layer by layer multiplies in the dtype of its weights: set "
            "model.precision=float32, and model.dtype=bfloat16 for products in bfloat16"
        )


def open_streamed(
    spec: str,
    source: ModelSource,
    config: Any,
    *,
    dtype: torch.dtype,
    device: torch.device,
    attention: Kernel,
    trust_remote_code: bool,
    most_waiting_bytes: int,
    spill_folder: Path | None,
) -> Any:
    """Return the transformers model at ``source`` with gates at its layers.

    Args:
        most_waiting_bytes: memory bound of what batches hold that wait for a layer.
        spill_folder: where they go beyond it; None for the system's temporary files.

    Raises:
        WorkbenchError: for a checkpoint or a model that cannot be read layer by layer.
    """
    model, weights = build_skeleton(
        spec,
        _folder_of(source),
        config,
        dtype=dtype,
        device=device,
        attention=attention,
        trust_remote_code=trust_remote_code,
    )
    layers = list(model.get_submodule(layers_path(model, spec)))
    folder = Path(tempfile.gettempdir()) if spill_folder is None else spill_folder
    LayerStream(layers, weights, most_waiting_bytes, SpillFolder(folder))
    return model


def _folder_of(source: ModelSource) -> Path:
    if source.local:
        return Path(source.place)
    return Path(
        snapshot_download(source.place, revision=source.revision, allow_patterns=list(WEIGHTS))
    )
