"""Build a tiny random model of any family that transformers registers.

One rule makes it. The family's default configuration is shrunk: every size by its role, which its
name tells (``SIZES``), every pattern over layers to as few layers as show all of its kinds
(:mod:`workbench.models.shrink_layers`), every token id into the small vocabulary, and the parts for
images and sound in the same way. What a name cannot tell is a row of
:mod:`workbench.models.shrink_exceptions`.

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
from dataclasses import dataclass, fields
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

VOCABULARY = 384
SPREAD = 0.2
LAYERS, TOWER_LAYERS = 4, 2
HEADS, KEY_VALUE_HEADS, HEAD_DIM = 4, 2, 8


@dataclass(frozen=True)
class Size:
    """The value of every entry whose name matches ``names`` whole. ``at_most`` keeps a smaller
    default.
    """

    names: str
    value: int
    at_most: bool = False


SIZES = tuple(
    Size(*row)
    for row in (
        # Vocabularies and positions.
        (r"(\w+_)?vocab_size(_per_layer_input)?|ngram_vocab_size_base", VOCABULARY, True),
        (r"(max|n)_positions?(_embeddings)?|max_(target|source)_positions|n_ctx", 512),
        (r"max_seq_len|context_length|original_max_position_embeddings", 512),
        # Experts.
        (r"(moe_)?num(_local)?_experts|n_routed_experts", 4, True),
        (r"num_experts_per_tok(en)?|moe_top_?k|moe_k|top_k_experts", 2, True),
        (r"n_group|num_expert_group|zero_expert_num|(moe_)?num_shared_experts", 2, True),
        (r"topk_group|first_k_dense_replace", 1),
        # Latent ranks and the widths of their heads.
        (r"\w+_lora_rank", 16),
        (r"qk_rope_head_dim|rotary_dim", 4, True),
        # Recurrent and linear layers.
        (r"(mamba_|ssm_)?(d_)?state(_size)?", 8),
        (r"mamba_d_ssm", 64),
        (r"mamba_(d_head|head_?dim)", 16),
        (r"mamba_dt_rank|time_step_rank", 4),
        (r"(mamba_)?n_?groups", 2, True),
        (r"(mamba_)?chunk_size", 8, True),
        # Windows.
        (r"(attention_)?sliding_window(_size)?|attention_chunk_size|attention_window_size", 8),
        (
            r"local_attention(_window_len)?|keep_window_size|window_size|index_topk|block_size",
            8,
            True,
        ),
        # Heads.
        (r"\w*num_key_value_heads|kv_n_heads|num_kv_heads|linear_num_key_heads", 2),
        (r"(\w+_)?(num|n)_(\w+_)?heads?|((en|de)coder_)?attention_heads|num_query_groups", 4),
        (r"(\w+_)?head_(dim|size)|d_kv|d_head|dim_head|kv_channels|resampler_dim_head", 8),
        # Widths.
        (r"(\w+_)?hidden_size_per_layer_input", 8),
        (r"(\w+_)?(moe|expert)\w*_(intermediate|hidden)_size", 32),
        (r"(\w+_)?intermediate_size(_mlp)?|(\w+_)?ffn_dim|d_inner|d_ff|dff|dim_ff", 64),
        (r"ffn_hidden_size|mlp_dim|feed_forward_size|share_expert_dim|n_inner", 64),
        (r"(\w+_)?(hidden|embedding|input)_(size|dim)|d_model|n_embd|(\w+_)?emb(ed)?_dim", 32),
        (r"lru_width|(\w+_)?(output|in|out)_dim|projection_dim|\w+_output_size|hidden_sizes", 32),
        (r"(\w+_)?hidden_size_global|(base|output|downsample)_channels|\w+_out_channel", 32),
        (r"num_filters|num_query_tokens|latent_query_num|\w+_lowrank", 8),
        # Images.
        (r"patch_size", 4, True),
        (r"image_size|crop_size", 16, True),
        (r"num_position_embeddings|num_patches|max_num_patches", 16, True),
        (r"depths|num_res_blocks", 1),
    )
)
"""Roles and their sizes; the first row that matches a name decides."""

LAYER_COUNTS = re.compile(
    r"num_hidden_layers|n_layers?|num_layers|layers|depth|num_blocks|(en|de)coder_layers"
    r"|num_(en|de)coder_layers|conf_num_hidden_layers"
)
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
TOKEN = re.compile(r"\w+_token_(id|index)s?|\w+_(patch|start|end)_id|im_newline_id|\w+_index")
BUFFERS = re.compile(r"(bias|scalar|alpha)$")
FIXED = {"mrope_section": [2, 1, 1]}
SPREADS = re.compile(r"(\w+_)?initializer_range|init_std|initializer_factor|embed_init_std")


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


def _token(name: str, index: int) -> int:
    return TOKENS.get(name, VOCABULARY - 1 - index % 64)


def _size(name: str, value: int) -> int:
    for size in SIZES:
        if re.fullmatch(size.names, name):
            return min(size.value, value) if size.at_most else size.value
    return value


def _entry(name: str, value: Any, index: int) -> Any:
    """Return the small value of one entry of a configuration."""
    if isinstance(value, bool) or value is None:
        return value
    if name in FIXED:
        return FIXED[name]
    if isinstance(value, list | tuple):
        return type(value)(_entry(name, item, index + at) for at, item in enumerate(value))
    if isinstance(value, dict):
        return {key: _entry(str(key), item, 0) for key, item in value.items()}
    if isinstance(value, int):
        return _token(name, index) if TOKEN.fullmatch(name) else _size(name, value)
    if isinstance(value, float) and SPREADS.fullmatch(name):
        return SPREAD
    return value


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


def _small(config: Any, layers: int) -> dict[str, Any]:
    """Return the shrunk entries of ``config`` that are no configurations themselves."""
    entries = {name: value for name, value in _entries(config).items() if not _is_part(value)}
    small = {name: _entry(name, value, at) for at, (name, value) in enumerate(entries.items())}
    small |= shrink_layers(
        entries, small, [name for name in entries if LAYER_COUNTS.fullmatch(name)], layers
    )
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
    own = {**EXCEPTIONS.get(config.model_type, {})}
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
    made = type(config)(**{**_small(config, layers), **own})
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
    """Give parameters that are constant or not set, and stored buffers of ``BUFFERS``, random values
    around what they are.
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
        whole: Build the class that reads images or sound as well where the family also has one
            for text alone.
        overrides: Entries of the configuration, see :func:`tiny_config`.

    Raises:
        WorkbenchError: where transformers cannot build the family.
    """
    config = tiny_config(family, **overrides)
    registered = [auto for names, auto in _CLASSES if family in names]
    with _seeded(seed):
        model = registered[-1 if whole else 0].from_config(
            config, attn_implementation=attention, dtype=torch.float32
        )
    _randomise(model, seed)
    return model.eval().requires_grad_(False)
