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
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.models.quantisation import Method
from workbench.models.quantise import Scheme, quantise_weight
from workbench.models.source import ModelSource
from workbench.models.weights import Kernel
from workbench.stream.gates import LayerStream
from workbench.stream.layer_weights import LayerWeights, Slot
from workbench.stream.pass_log import PassLog
from workbench.stream.skeleton import build_skeleton, layers_path
from workbench.stream.spill import SpillFolder

Resume = Literal["auto", "on", "off"]
RESUMED_FROM = 8_000_000_000
"""Bytes of layers from which on their passes are kept by default: reading them takes seconds to
minutes, and what multiplies with them much longer.
"""
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
FIRST_LAYERS = "+first-layers"
"""Added to the revision under which is kept what was verified on first layers alone."""


def require_streamable(
    spec: str, method: Method | None, scheme: Scheme | None, precision: str
) -> None:
    """Refuse what cannot be read layer by layer, before anything is read.

    Args:
        method: by which the checkpoint's weights are quantised already.
        scheme: in which plain ones are quantised when they are read.

    Raises:
        WorkbenchError: for quantised checkpoints, for schemes whose weights cannot be made one by
            one, and for products in another precision than the weights'.
    """
    if method is not None:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised by {method.name}, and quantised layers are not "
            "read one by one: give the plain checkpoint, which model.quantize=int8 quantises layer "
            "by layer, or set model.placement=device"
        )
    if scheme is not None and scheme.method.name != "torchao":
        raise WorkbenchError(
            f"model.quantize={scheme.name} makes modules of its own, which cannot be filled layer "
            "by layer: use int8, int4 or fp8, or set model.placement=device"
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
    resume_passes: Resume,
    resume_bytes: int,
    scheme: Scheme | None = None,
) -> Any:
    """Return the transformers model at ``source`` with gates at its layers.

    Args:
        most_waiting_bytes: memory bound of what batches hold that wait for a layer.
        spill_folder: where they go beyond it; None for the system's temporary files.
        resume_passes: whether what layers return is kept there too, at most ``resume_bytes``.
        scheme: in which the layers' matrices are quantised each time they are read.

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
    if scheme is not None:
        weights.quantise = partial(_quantised, scheme)
        model.is_quantized = True
        model.config.quantization_config = scheme.config(dtype)
    layers = list(model.get_submodule(layers_path(model, spec)))
    folder = Path(tempfile.gettempdir()) if spill_folder is None else spill_folder
    spill = SpillFolder(folder)
    layer_bytes = sum(map(weights.nbytes, range(len(weights))))
    logged = resume_passes == "on" or (resume_passes == "auto" and layer_bytes > RESUMED_FROM)
    files = f"{_fingerprint(weights, dtype)}{scheme and scheme.name}"
    log = PassLog(folder, files, resume_bytes) if logged else None
    LayerStream(layers, weights, most_waiting_bytes, spill, log)
    return model


def _quantised(scheme: Scheme, slot: Slot, value: Tensor) -> Tensor:
    module, leaf = slot
    if leaf != "weight" or not isinstance(module, nn.Linear):
        return value
    made: Tensor = quantise_weight(scheme, module, value)
    return made


def _fingerprint(weights: LayerWeights, dtype: torch.dtype) -> str:
    """Return what says that layers are the same, without reading them: their files' places, sizes
    and times, and where and in which dtype they compute.
    """
    parts = [part for layer in weights.sources for source in layer for _, part in source.parts]
    stats = {(str(path.resolve()), path.stat()) for path in {part.path for part in parts}}
    files = sorted((place, stat.st_size, stat.st_mtime_ns) for place, stat in stats)
    return repr((files, dtype, weights.device))


def _folder_of(source: ModelSource) -> Path:
    if source.local:
        return Path(source.place)
    return Path(
        snapshot_download(source.place, revision=source.revision, allow_patterns=list(WEIGHTS))
    )
