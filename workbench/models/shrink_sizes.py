"""Say how large each entry of a tiny configuration is, by the role that its name tells.

The numbers fit each other: four heads of eight are the width of 32, two key-value heads share four
query heads, and recurrent layers of twice the width have four heads of 16. A window of 8 is shorter
than any prompt worth a test. Ids of tokens that mean something (images, turns) are counted down
from the end of the vocabulary, where no text of a test has to go.

A size says nothing of a family's published checkpoints, which have others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

VOCABULARY = 384
SPREAD = 0.2
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
        (r"local_attention(_window_len)?|keep_window_size|window_size", 8, True),
        (r"index_topk|block_size", 8, True),
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

TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
TOKEN = re.compile(
    r"\w+_token_(id|index)s?|(im|image)_(patch|start|end|newline)_id|(pad|bos|eos|unk|mask)_index"
)
TOKENS_AT_END = 64
SPREADS = re.compile(r"(\w+_)?initializer_range|init_std|initializer_factor|embed_init_std")
FIXED = {"mrope_section": (2, 1, 1)}


def _token(name: str, index: int) -> int:
    return TOKENS.get(name, VOCABULARY - 1 - index % TOKENS_AT_END)


def _size(name: str, value: int) -> int:
    for size in SIZES:
        if re.fullmatch(size.names, name):
            return min(size.value, value) if size.at_most else size.value
    return value


def shrink_entry(name: str, value: Any, index: int) -> Any:
    """Return the small value of the entry ``name``, the one with the number ``index``."""
    if isinstance(value, bool) or value is None:
        return value
    if name in FIXED:
        return list(FIXED[name])
    if isinstance(value, list | tuple):
        return type(value)(shrink_entry(name, item, index + at) for at, item in enumerate(value))
    if isinstance(value, dict):
        return {key: shrink_entry(str(key), item, 0) for key, item in value.items()}
    if isinstance(value, int):
        return _token(name, index) if TOKEN.fullmatch(name) else _size(name, value)
    if isinstance(value, float) and SPREADS.fullmatch(name):
        return SPREAD
    return value
