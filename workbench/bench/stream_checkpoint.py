"""Write a checkpoint of any shape with random weights, layer by layer, and open it streamed or in
memory.

Weights are normal with a spread of 0.02 and norms are one, so that states stay finite through any
number of layers. Such a model knows nothing; what reading and multiplying its weights costs is that
of a trained model of the shape.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from workbench.models import LanguageModel, derive_architecture
from workbench.progress import track
from workbench.stream.gates import LayerStream
from workbench.stream.model import only_first_layers
from workbench.stream.skeleton import build_skeleton, layers_path
from workbench.stream.spill import SpillFolder
from workbench.stream.stored_tensors import INDEX

SPREAD = 0.02


@dataclass(frozen=True)
class StreamShape:
    """The shape of a llama-like model."""

    layers: int
    width: int
    mlp: int
    heads: int
    key_value_heads: int
    vocabulary: int
    dtype: str = "bfloat16"

    def config(self) -> Any:
        """Return the configuration of a model of this shape, with its head tied to the
        embedding.
        """
        return AutoConfig.for_model(
            "llama",
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.mlp,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )


def shape_of(layers: int, width: int) -> StreamShape:
    """Return a shape as that of 1.5B models, with other layers and another width: heads of 128, six
    of them sharing keys and values, an MLP 35 / 6 as wide.
    """
    heads = max(1, width // 128)
    shared = next(n for n in (6, 4, 3, 2, 1) if heads % n == 0)
    return StreamShape(layers, width, width * 35 // 6, heads, heads // shared, 151_936)


SHAPE_1_5B = shape_of(28, 1536)
LAYER_70B = StreamShape(1, 8192, 28_672, 64, 8, 1024)


def write_checkpoint(folder: Path, shape: StreamShape, seed: int = 0) -> int:
    """Write a random checkpoint of ``shape`` into ``folder``, a file for each layer; return the
    bytes of its weights.
    """
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(shape.config())
    dtype, generator = getattr(torch, shape.dtype), torch.Generator().manual_seed(seed)
    files: dict[str, dict[str, Any]] = {}
    tied = model.all_tied_weights_keys
    for name, value in model.state_dict().items():
        if name not in tied:
            number = re.search(r"\.layers\.(\d+)\.", name)
            file = f"layer-{int(number.group(1)):03d}" if number else "outside"
            files.setdefault(f"{file}.safetensors", {})[name] = value.shape
    weight_map: dict[str, str] = {}
    total = 0
    for file, shapes in track(files.items(), "writing random weights", total=len(files)):
        weights = {name: _drawn(size, dtype, generator) for name, size in shapes.items()}
        save_file(weights, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(weights, file)
        total += sum(value.numel() * value.element_size() for value in weights.values())
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map})
    (folder / INDEX).write_text(text, encoding="utf-8")
    shape.config().save_pretrained(folder)
    return total


def _drawn(size: torch.Size, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    if len(size) == 1:
        return torch.ones(size, dtype=dtype)
    return torch.empty(size, dtype=dtype).normal_(0, SPREAD, generator=generator)


def open_streamed_shape(
    folder: Path, shape: StreamShape, most_waiting_bytes: int, device: torch.device
) -> tuple[LanguageModel, LayerStream]:
    """Return the model in ``folder`` read layer by layer to ``device``, and its stream."""
    dtype = getattr(torch, shape.dtype)
    model, weights = build_skeleton("random", folder, shape.config(), dtype=dtype, device=device)
    layers = list(model.get_submodule(layers_path(model, "random")))
    stream = LayerStream(layers, weights, most_waiting_bytes, SpillFolder(folder))
    with only_first_layers(model, "random"):
        architecture = derive_architecture(model)
    tokenizer: Any = SimpleNamespace(pad_token_id=0)
    return LanguageModel(model, tokenizer, architecture, "random", "random"), stream


def open_in_memory(folder: Path, shape: StreamShape, like: LanguageModel) -> LanguageModel:
    """Return the same model with all weights in the memory of the device it computes on, copied out
    of their files.
    """
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, shape.dtype), attn_implementation="sdpa"
    )
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return like.with_model(model.to(like.device).eval().requires_grad_(False))
