"""Name the shapes of large models by the values of their published configurations, so that a plan
needs no network. A model whose configuration lies on this machine is read from there instead.

A row is a model's name, its family in transformers, and the values of ``config.json`` that decide
sizes. Weights are not part of it, and nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.models.local import short_name


@dataclass(frozen=True)
class KnownShape:
    """The published shape of a model.

    Attributes:
        name: short name, as on the command line.
        hub: its id on the hub, whose config.json the values are from.
        family: ``model_type`` of the text model.
        values: of the configuration.
    """

    name: str
    hub: str
    family: str
    values: Mapping[str, Any]


def _sizes(
    layers: int,
    width: int,
    heads: int,
    key_value_heads: int,
    mlp: int,
    vocabulary: int,
    **more: Any,
) -> dict[str, Any]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "intermediate_size": mlp,
        "vocab_size": vocabulary,
        "max_position_embeddings": 131_072,
        "tie_word_embeddings": False,
        **more,
    }


_GEMMA = {"head_dim": 128, "tie_word_embeddings": True, "sliding_window": 1024}
# config.json of each hub id, as published.
KNOWN_SHAPES: Mapping[str, KnownShape] = {
    row.name: row
    for row in (
        KnownShape(
            "llama-3.1-8b",
            "meta-llama/Llama-3.1-8B-Instruct",
            "llama",
            _sizes(32, 4096, 32, 8, 14_336, 128_256),
        ),
        KnownShape(
            "llama-3.1-70b",
            "meta-llama/Llama-3.1-70B-Instruct",
            "llama",
            _sizes(80, 8192, 64, 8, 28_672, 128_256),
        ),
        KnownShape(
            "llama-3.1-405b",
            "meta-llama/Llama-3.1-405B-Instruct",
            "llama",
            _sizes(126, 16_384, 128, 8, 53_248, 128_256),
        ),
        KnownShape(
            "qwen2.5-1.5b",
            "Qwen/Qwen2.5-1.5B-Instruct",
            "qwen2",
            _sizes(28, 1536, 12, 2, 8960, 151_936, tie_word_embeddings=True),
        ),
        KnownShape(
            "qwen2.5-32b",
            "Qwen/Qwen2.5-32B-Instruct",
            "qwen2",
            _sizes(64, 5120, 40, 8, 27_648, 152_064),
        ),
        KnownShape(
            "qwen2.5-72b",
            "Qwen/Qwen2.5-72B-Instruct",
            "qwen2",
            _sizes(80, 8192, 64, 8, 29_568, 152_064),
        ),
        KnownShape(
            "gemma-3-27b",
            "google/gemma-3-27b-it",
            "gemma3_text",
            _sizes(62, 5376, 32, 16, 21_504, 262_208, **_GEMMA),
        ),
    )
}


def known_shape(name: str) -> KnownShape | None:
    """Return the row of a short name or hub id, in any case; None where there is none."""
    wanted = name.lower()
    for row in KNOWN_SHAPES.values():
        if wanted in (row.name, row.hub.lower(), short_name(row.hub).lower()):
            return row
    return None
