"""Hold any Hugging Face causal language model and find its parts.

A model comes from the hub, a folder, a GGUF file or an embedded one
(:func:`workbench.loading.load_model`) and is held as a :class:`LanguageModel`, whose parts were
read off the model itself (:mod:`workbench.models.structure`). Conversations become token ids here,
through the model's chat template.

The names below are imported when they are first used, so code that only asks for files of models
needs no model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.models.architectures import Architecture
    from workbench.models.cache import CacheEntry, verify_cache
    from workbench.models.chat import Role, Turn, encode, encode_history, render
    from workbench.models.language_model import LanguageModel
    from workbench.models.layer_output import hidden_of, with_hidden
    from workbench.models.precision import (
        Precision,
        in_float32,
        model_arithmetic,
        resolve_precision,
        set_precision,
    )
    from workbench.models.structure import derive_architecture

_MODULES = {
    "Architecture": "architectures",
    "CacheEntry": "cache",
    "LanguageModel": "language_model",
    "Precision": "precision",
    "Role": "chat",
    "Turn": "chat",
    "derive_architecture": "structure",
    "encode": "chat",
    "encode_history": "chat",
    "hidden_of": "layer_output",
    "in_float32": "precision",
    "model_arithmetic": "precision",
    "render": "chat",
    "resolve_precision": "precision",
    "set_precision": "precision",
    "verify_cache": "cache",
    "with_hidden": "layer_output",
}
__all__ = [
    "Architecture",
    "CacheEntry",
    "LanguageModel",
    "Precision",
    "Role",
    "Turn",
    "derive_architecture",
    "encode",
    "encode_history",
    "hidden_of",
    "in_float32",
    "model_arithmetic",
    "render",
    "resolve_precision",
    "set_precision",
    "verify_cache",
    "with_hidden",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
