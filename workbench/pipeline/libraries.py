"""Name the libraries whose version may change a number, and the versions that are installed."""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "accelerate",
    "torchao",
    "bitsandbytes",
    "safetensors",
    "gguf",
    "numpy",
    "scipy",
    "scikit-learn",
    "trl",
)
"""Packages whose version may change a number."""


@lru_cache(maxsize=1)
def library_versions() -> dict[str, str]:
    """Return the version of each of :data:`LIBRARIES`, "absent" for what is not installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found
