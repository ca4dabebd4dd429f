"""Build a tiny random model of any family that transformers registers.

One rule makes it. The family's default configuration is shrunk: every size by its role, which its
name tells (:mod:`workbench.models.shrink_sizes`), every pattern over layers to as few layers as
show all of its kinds (:mod:`workbench.models.shrink_layers`), every token id into the small
vocabulary, and the parts for images and sound in the same way. What a name cannot tell is a row of
:mod:`workbench.models.shrink_exceptions`; :mod:`workbench.models.shrink_faults` says which families
cannot be built or run, and why.

Weights are drawn with a spread of 0.2, so that every layer does something. What transformers
initialises to a constant (norms, sinks, gates, scalars of layers, output projections that start at
zero) or does not initialise at all gets a random share as well: a fault in how such a part is read
would stay hidden behind a one or a zero.

A tiny model shows how a family computes. It knows nothing, so nothing about what a trained model of
the family does follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
)
from transformers.models.auto import modeling_auto

from workbench.errors import WorkbenchError
from workbench.models.shrink_exceptions import EXCEPTIONS, REPLACED
from workbench.models.shrink_layers import shrink_layers
from workbench.models.shrink_sizes import (
    HEAD_DIM,
    HEADS,
    KEY_VALUE_HEADS,
    SPREAD,
    shrink_entry,
)
from workbench.models.weights import class_of

LAYERS, TOWER_LAYERS = 4, 2
LAYER_COUNTS = re.compile(
    r"num_hidden_layers|n_layers?|num_layers|layers|depth|num_blocks|(en|de)coder_layers"
    r"|num_(en|de)coder_layers|conf_num_hidden_layers"
)
BUFFERS = re.compile(r"(bias|scalar|alpha)$")
"""Stored buffers that take part in what a layer adds."""

_CLASSES = (
    (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, AutoModelForCausalLM),
    (modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, AutoModelForImageTextToText),
    (modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES, AutoModelForMultimodalLM),
)


def families() -> tuple[str, ...]:
    """List the model types that transformers registers for causal language modelling, alone or
    behind images and sound.
    """
    return tuple(dict.fromkeys(family for names, _ in _CLASSES for family in names))


def reads_more_than_text(family: str) -> bool:
    """Return whether transformers has no class for the family's text model alone."""
    return family not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def _entries(config: Any) -> dict[str, Any]:
    """Return what the default configuration ``config`` was made from: its declared entries, without
    those that its class works out from others.
    """
    own = {
        field: vars(config).get(config.attribute_map.get(field.name, field.name))
        for field in fields(config)
        if field.init
    }
    return {
        field.name: value
        for field, value in own.items()
        if value is not None and not (field.default is None and type(value) is int)
    }


def _is_part(value: Any) -> bool:
    return hasattr(value, "model_type")


def _small(config: Any, layers: int, exactly: bool = False) -> dict[str, Any]:
    """Return the shrunk entries of ``config`` that are no configurations themselves."""
    entries = {name: value for name, value in _entries(config).items() if not _is_part(value)}
    small = {
        name: shrink_entry(name, value, at) for at, (name, value) in enumerate(entries.items())
    }
    counts = [name for name in entries if LAYER_COUNTS.fullmatch(name)]
    small |= shrink_layers(entries, small, counts, layers, exactly)
    declared = {field.name for field in fields(config)}
    latent = "kv_lora_rank" in declared
    if "num_key_value_heads" in declared:
        small["num_key_value_heads"] = HEADS if latent else KEY_VALUE_HEADS
    if "head_dim" in declared and vars(config).get("head_dim") is None:
        small["head_dim"] = HEAD_DIM
    if latent and entries.get("head_dim") == entries.get("qk_rope_head_dim"):
        small["head_dim"] = small["qk_rope_head_dim"]
    if "is_decoder" in declared and not config.is_encoder_decoder and layers == LAYERS:
        small["is_decoder"] = True
    return small


def _shrink(config: Any, changes: dict[str, Any], layers: int) -> Any:
    """Return a small configuration of the class of ``config``, with ``changes`` in the part that
    has such an entry.
    """
    parts = {name: value for name, value in _entries(config).items() if _is_part(value)}
    text = config.get_text_config(decoder=True)
    declared = {field.name for field in fields(config)}
    own = deepcopy(EXCEPTIONS.get(config.model_type, {}))  # configurations write into their lists
    passed: dict[str, dict[str, Any]] = {name: own.pop(name, {}) for name in parts}
    for name, value in changes.items():
        if text is config or name in declared:
            own[name] = value
        else:
            passed[next(part for part in parts if parts[part] is text)][name] = value
    towers = {}
    for name, part in parts.items():
        own[name] = _shrink(part, passed[name], LAYERS if part is text else TOWER_LAYERS)
        if part.model_type in REPLACED:
            towers[name] = _replace(own[name])
    asked = next((changes[name] for name in changes if LAYER_COUNTS.fullmatch(name)), None)
    if asked is None or text is not config:
        small = _small(config, layers)
    else:
        small = _small(config, asked, exactly=True)
    made = type(config)(**{**small, **own})
    vars(made).update(towers)  # past the check that the part has its own class
    return made


def _replace(tower: Any) -> Any:
    """Return the configuration of the tower that stands for ``tower``, with the entries of the
    latter that it lacks.
    """
    small = _small(AutoConfig.for_model(REPLACED[tower.model_type]), TOWER_LAYERS)
    lacking = {name: value for name, value in _entries(tower).items() if name not in small}
    return AutoConfig.for_model(REPLACED[tower.model_type], **small, **lacking)


def tiny_config(family: str, **overrides: Any) -> Any:
    """Return the small configuration of a family, with ``overrides`` in the part that has such an
    entry, its text part where none has.

    A number of layers among them cuts the lists over layers to as many, except those that a row of
    exceptions writes out: these go with it.

    Raises:
        WorkbenchError: for a family that is not registered.
    """
    if family not in families():
        raise WorkbenchError(
            f"transformers registers no causal language model of the type {family!r}; "
            "workbench.models.shrink.families() lists those there are"
        )
    return _shrink(AutoConfig.for_model(family), overrides, LAYERS)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator, and fill memory that nothing initialises with NaN, for a while."""
    before = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn)


def _randomise(model: torch.nn.Module, seed: int) -> None:
    """Give parameters that are constant or not set, and stored buffers of ``BUFFERS``, random
    values around what they are.
    """
    draw = torch.Generator().manual_seed(seed)
    stored = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, values in stored.items():
            parameter = isinstance(values, torch.nn.Parameter)
            if not values.numel() or not (parameter or BUFFERS.search(name)):
                continue
            unset = values.isnan()
            if unset.any() or values.min() == values.max():
                noise = SPREAD * torch.randn(values.shape, generator=draw)
                values.copy_(torch.where(unset, noise, values + noise))


def build(
    family: str, seed: int = 0, attention: str = "eager", *, whole: bool = False, **overrides: Any
) -> Any:
    """Build a seeded random model of a family, in eval mode and frozen.

    Args:
        family: One of :func:`families`.
        seed: What the weights are drawn from.
        attention: The attention kernel, as transformers names it.
        whole: Build the class that reads images or sound as well where the family also has a class
            for text alone.
        overrides: Entries of the configuration, see :func:`tiny_config`.

    What transformers raises for a family that it cannot build passes through.

    Raises:
        WorkbenchError: for a family that is not registered.
    """
    config = tiny_config(family, **overrides)
    registered = [auto for names, auto in _CLASSES if family in names]
    return _built(registered[-1 if whole else 0], config, attention, seed)


def build_like(config: Any, attention: str = "eager", seed: int = 0) -> Any:
    """Build a seeded random model with the entries of a checkpoint's ``config``, every size
    shrunk, in eval mode and frozen.

    What transformers raises for a configuration that it cannot build passes through.

    Raises:
        WorkbenchError: for a configuration of another kind of model.
    """
    return _built(class_of(config), _shrink(config, {}, LAYERS), attention, seed)


def _built(automatic: Any, config: Any, attention: str, seed: int) -> Any:
    with _seeded(seed):
        model = automatic.from_config(config, attn_implementation=attention, dtype=torch.float32)
    _randomise(model, seed)
    return model.eval().requires_grad_(False)
