"""Models: loading any Hugging Face causal language model and finding its parts.

A model comes from the hub, a folder, a GGUF file or the small default, is checked on a real forward, and is handed on
as a :class:`LanguageModel`. Conversations become token ids here, through the model's own chat template.
"""

from workbench.models.architectures import ARCHITECTURES, Architecture, architecture_of
from workbench.models.cache import CacheEntry, verify_cache
from workbench.models.chat import Role, Turn, encode, encode_history, render
from workbench.models.language_model import LanguageModel
from workbench.models.layer_output import hidden_of, with_hidden
from workbench.models.load import Attention, load_model
from workbench.models.precision import Precision, in_float32, model_arithmetic, resolve_precision, set_precision
from workbench.models.validate import validate

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Attention",
    "CacheEntry",
    "LanguageModel",
    "Precision",
    "Role",
    "Turn",
    "architecture_of",
    "encode",
    "encode_history",
    "hidden_of",
    "in_float32",
    "load_model",
    "model_arithmetic",
    "render",
    "resolve_precision",
    "set_precision",
    "validate",
    "verify_cache",
    "with_hidden",
]
