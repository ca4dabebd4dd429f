"""Say where the parts of a model are whose weights are on a server, from a tiny model that stands
in for it.

What a row of :class:`workbench.models.Architecture` claims is read off forwards and verified on
forwards, and a model without weights has none. So a tiny random model is built of the same
configuration, every size of it shrunk (:mod:`workbench.models.shrink`), and verified like any other
(:mod:`workbench.loading.verify`), packing under its attention windows included. It runs the same
code, so the same paths hold; the sizes are then those of the real modules, which have shapes. A
size that the two models do not show in the same way takes its components out of use, with the
reason.

What the server runs is not verified: its code may be of another version of transformers.
"""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast
from transformers.pytorch_utils import Conv1D

from workbench.errors import WorkbenchError
from workbench.loading.verify import verify
from workbench.models import Architecture, LanguageModel, derive_architecture
from workbench.models.shrink import build_like
from workbench.models.shrink_faults import silence_transformers
from workbench.models.weights import Kernel, kernel_for

FIRST_CHARACTER = 32
UNKNOWN = "its size cannot be told without the model's weights"
OF_HEADS = ("head_out", "query", "key", "value")


def stand_in_architecture(name: str, model: Any, attention: Kernel) -> Architecture:
    """Return where the parts of ``model``, a transformers model on the meta device, are.

    Args:
        name: what errors call the model.
        attention: the kernel that passes use.

    Raises:
        WorkbenchError: where no tiny model of its configuration can be built and verified, and for
            a residual stream whose width cannot be told.
    """
    with silence_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the loop costs
        try:
            small = build_like(model.config, kernel_for(model.config, attention))
        except Exception as error:  # what a family's code raises for sizes it does not take
            raise WorkbenchError(
                f"{name!r} cannot be used without its weights: no tiny model of its configuration "
                f"can be built to see where its parts are ({error}); set model.placement=device"
            ) from error
        row = derive_architecture(small)
        row = verify(LanguageModel(small, character_tokenizer(), row, name, name)).architecture
    return _resized(name, row, small, model)


def character_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer with a token for each printable character of ASCII, and one that pads."""
    characters = [chr(code) for code in range(FIRST_CHARACTER, 127)]
    words = {"[PAD]": 0} | {character: 3 + n for n, character in enumerate(characters)}
    backend = Tokenizer(models.WordLevel(words, unk_token="[PAD]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")


def _resized(name: str, row: Architecture, small: Any, model: Any) -> Architecture:
    """Return the row with the sizes of ``model``.

    Raises:
        WorkbenchError: where the width of the residual stream cannot be told.
    """
    sizes, known = _sizes(row, model), _sizes(row, small)
    told = {
        field: sizes[field]
        for field, size in known.items()
        if size == getattr(row, field) and sizes[field]
    }
    if "width" not in told:
        raise WorkbenchError(
            f"the width of {name!r} cannot be told without its weights: set model.placement=device"
        )
    missing: dict[str, str] = dict(row.missing)
    if row.heads and not {"heads", "key_value_heads", "head_size"} <= told.keys():
        missing |= dict.fromkeys(OF_HEADS, UNKNOWN)
    if row.neurons and "neuron_count" not in told:
        missing["neuron"] = UNKNOWN
    changed: dict[str, Any] = {**told, "missing": MappingProxyType(missing)}
    return replace(row, **changed)


def _sizes(row: Architecture, model: Any) -> dict[str, int]:
    """Return the sizes that a model's configuration and modules show, 0 for one they do not."""
    config = model.config.get_text_config()
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    declared = {field.name for field in fields(config)}  # entries beside these decide nothing
    shared = getattr(config, "num_key_value_heads", None)
    if "num_key_value_heads" not in declared:
        shared = None
    layers = list(model.get_submodule(row.layers))
    inner = _input_width(layers, row.attention_output)
    return {
        "width": int(getattr(config, "hidden_size", 0) or 0),
        "heads": heads,
        "key_value_heads": heads if shared is None else int(shared),
        "head_size": inner // heads if heads and inner % heads == 0 else 0,
        "neuron_count": _input_width(layers, row.neurons),
    }


def _input_width(layers: list[Any], path: str) -> int:
    """Return how many numbers the linear module at ``path`` of every layer reads; 0 where it is
    none, or layers differ.
    """
    found = set()
    for layer in layers if path else []:
        module = layer.get_submodule(path)
        if isinstance(module, nn.Linear):
            found.add(module.in_features)
        else:
            found.add(module.weight.shape[0] if isinstance(module, Conv1D) else 0)
    return found.pop() if len(found) == 1 else 0
