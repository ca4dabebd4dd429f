"""Say what the names in a configuration cannot tell the shrinking rule, a row a model type."""

from __future__ import annotations

from typing import Any


def _sections(*sections: int, theta: float = 10_000.0, **more: Any) -> dict[str, Any]:
    """Return rotary entries with the rotated pairs that time, height and width share out."""
    return {
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": theta,
            "mrope_section": list(sections),
            **more,
        }
    }


EXCEPTIONS: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0],
        "vocab_size_per_layer_input": 376,
    },
    "gemma3n_vision": {"vocab_size": 4, "vocab_offset": 376},
    "gemma3n_audio": {"vocab_size": 4, "vocab_offset": 380},
    "gemma4_text": {"global_head_dim": 16},
    "gemma4_unified_text": {"global_head_dim": 16},
    "diffusion_gemma_text": {"global_head_dim": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "attention_layers": None},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "mamba2": {"head_dim": 16},
    "mistral4": {"qk_rope_head_dim": 8},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "xmod": {"default_language": "en_XX"},
    "glm4v_text": _sections(2, 1, 1),
    "glm46v_text": _sections(2, 1, 1),
    "glm_ocr_text": _sections(2, 1, 1),
    "glm4v_moe_text": _sections(1, 1, 0),
    "paddleocr_vl_text": _sections(2, 1, 1),
    "qwen2_5_omni_text": _sections(2, 1, 1),
    "qwen2_5_vl_text": _sections(2, 1, 1),
    "qwen2_vl_text": _sections(2, 1, 1),
    "ernie4_5_vl_moe_text": _sections(1, 1, 2, theta=500_000.0),
}
"""Entries of a small configuration by model type; an entry that is None is left to the class."""

REPLACED = {"gemma3n_vision": "siglip_vision_model", "timm_wrapper": "siglip_vision_model"}
"""Towers of images that come from another library and are not small there -> one of transformers
that stands for them. No text passes through either.
"""
