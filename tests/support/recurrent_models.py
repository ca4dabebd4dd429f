"""Tiny random models of families with recurrent or linear-attention layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.support.tiny_models import COMMON, PECULIAR, build_tokenizer
from workbench.models import LanguageModel, derive_architecture

WHY_NOT = "its layers carry a recurrent state from token to token"

_LINEAR = {"layer_types": ["linear_attention", "full_attention"] * 2}
_DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MAMBA = {"state_size": 8, "conv_kernel": 4, "expand": 2, "time_step_rank": 4}
_MAMBA2 = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_expand": 2,
    "mamba_chunk_size": 16,
}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "falcon_h1": {**PECULIAR["falcon_h1"], "mamba_chunk_size": 16},
    "qwen3_next": PECULIAR["qwen3_next"],
    "qwen3_5_text": {**_DELTA, **_LINEAR},
    "olmo_hybrid": {**_DELTA, **_LINEAR},
    "minimax": {**_LINEAR, **_EXPERTS, "block_size": 16},
    "bamba": {**_MAMBA2, "attn_layer_indices": [1, 3]},
    "granitemoehybrid": {
        **_MAMBA2,
        **_EXPERTS,
        "layer_types": ["mamba", "attention"] * 2,
        "shared_intermediate_size": 32,
    },
    "nemotron_h": {
        "layers_block_type": ["mamba", "attention", "mamba", "mlp"],
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "ssm_state_size": 8,
        "n_groups": 1,
        "chunk_size": 16,
    },
    "zamba2": {
        "mamba_d_state": 8,
        "mamba_ngroups": 1,
        "n_mamba_heads": 4,
        "mamba_headdim": 16,
        "chunk_size": 16,
        "hybrid_layer_ids": [1, 3],
        "num_mem_blocks": 1,
        "layers_block_type": ["mamba", "hybrid"] * 2,
        "attention_head_dim": 16,
        "use_mem_rope": True,
        "adapter_rank": 8,
    },
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 4,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_multiple_of": 8},
    "mamba": _MAMBA,
    "falcon_mamba": _MAMBA,
    "mamba2": {"state_size": 8, "num_heads": 8, "n_groups": 1, "chunk_size": 16, "expand": 2},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8},
    "rwkv": {"attention_hidden_size": 32},
}
"""What the tiny model of each family is configured with, besides what is common to all."""


def build_recurrent(family: str, **overrides: Any) -> LanguageModel:
    """A seeded random model of a family of :data:`CONFIGURATIONS`: width 32, four layers."""
    settings = {**COMMON, **CONFIGURATIONS[family], **overrides}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings))
    model.eval().requires_grad_(False)
    row = replace(derive_architecture(model), packable=False, why_not=WHY_NOT)
    return LanguageModel(model, build_tokenizer("digits"), row, f"tiny-{family}", family)
