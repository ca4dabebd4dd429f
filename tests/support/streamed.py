"""Tiny models whose layers stay in their files."""

from __future__ import annotations

from pathlib import Path

import torch

from workbench.compat import attention_kernel
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream
from workbench.stream.skeleton import build_skeleton, layers_path
from workbench.stream.spill import SpillFolder

ROOMY = 10**9


def stream_copy(
    lm: LanguageModel, folder: Path, most_waiting_bytes: int = ROOMY, shard: str = "5GB"
) -> tuple[LanguageModel, LayerStream]:
    """Save a model in ``folder``; return it streamed from there, and its stream."""
    lm.model.save_pretrained(folder, max_shard_size=shard)
    model, weights = build_skeleton(
        lm.name,
        folder,
        lm.model.config,
        dtype=torch.float32,
        device=torch.device("cpu"),
        attention="eager" if attention_kernel(lm.model) == "eager" else "sdpa",
    )
    layers = list(model.get_submodule(layers_path(model, lm.name)))
    stream = LayerStream(layers, weights, most_waiting_bytes, SpillFolder(folder))
    return lm.with_model(model), stream
