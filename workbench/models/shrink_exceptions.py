"""Say what the names in a configuration cannot tell the shrinking rule, a row a model type."""

from __future__ import annotations

from typing import Any


def _sections(*sections: int, layer_types: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return rotary entries that share out the rotated pairs, one for each of ``layer_types`` where
    a family has them by type.
    """
    entries = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": list(sections)}
    by_type = {layer_type: dict(entries) for layer_type in layer_types}
    return {"rope_parameters": by_type or entries}


_FULL, _WINDOW = "full_attention", "sliding_attention"
_WINDOWS_ABOVE = {
    "use_sliding_window": True,
    "sliding_window": 8,
    "layer_types": [_FULL, _FULL, _WINDOW, _WINDOW],
}
_LATENT_HEADS = {"head_dim": 12, "qk_nope_head_dim": 8, "v_head_dim": 8}

EXCEPTIONS: dict[str, dict[str, Any]] = {
    # Layers of every kind where the default configuration shows one alone, or none at all.
    "bamba": {"attn_layer_indices": [2]},
    "cohere_compass_text": {
        "layer_types": [_WINDOW, _WINDOW, _WINDOW, _FULL],
        **_sections(2, 1, 1, layer_types=(_FULL, _WINDOW)),
    },
    "deepseek_ocr2_text": {
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "num_experts_per_tok": 2,
    },
    "deepseek_v4": {
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
        "index_topk": 2,
    },
    "gemma3n_text": {
        "layer_types": [_WINDOW, _FULL, _WINDOW, _FULL],
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0],
        "vocab_size_per_layer_input": 376,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granitemoehybrid": {
        "layer_types": ["linear_attention", "linear_attention", _FULL, "linear_attention"]
    },
    "inkling2_text": {"n_layers_per_attn_res_block": 2},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 2},
    "laguna": {"layer_types": [_FULL, _WINDOW, _WINDOW, _FULL], "sliding_window": 8},
    "lfm2": {"layer_types": ["conv", "conv", _FULL, "conv"]},
    "lfm2_moe": {"layer_types": ["conv", "conv", _FULL, "conv"]},
    "llama4_text": {"moe_layers": [1, 3], "interleave_moe_layer_step": 2},
    "mellum": {"layer_types": [_WINDOW, _WINDOW, _WINDOW, _FULL], "sliding_window": 8},
    "minimax_m3_vl_text": {
        "layer_types": [_FULL, "minimax_m3_sparse", "minimax_m3_sparse", "minimax_m3_sparse"],
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"],
        "index_block_size": 4,
        "index_topk_blocks": 2,
    },
    "qwen2": _WINDOWS_ABOVE,
    "qwen2_moe": _WINDOWS_ABOVE,
    "qwen3": _WINDOWS_ABOVE,
    "step3p5": {
        "layer_types": [_FULL, _WINDOW, _FULL, _WINDOW],
        "mlp_layer_types": ["dense", "dense", "sparse", "sparse"],
        "num_sliding_attention_heads": 8,
        "sliding_window": 8,
    },
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2},
    # What makes the class a causal language model.
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    # Sizes that the default configuration leaves open, and entries it lacks.
    "chameleon": {"vocabulary_map": {"<image>": 383}},
    "dbrx": {
        "attn_config": {"rope_theta": 10_000.0, "clip_qkv": 8.0},
        "ffn_config": {"moe_top_k": 2},
    },
    "deepseek_v2": {"num_experts_per_tok": 2},
    "diffusion_gemma_text": {
        "global_head_dim": 16,
        "num_experts": 4,
        "top_k_experts": 2,
        "moe_intermediate_size": 32,
    },
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "emu3": {"vocabulary_map": {"<image>": 383}},
    "granite4_vision": {
        "deepstack_layer_map": [[0, 0]],
        "spatial_target_layers": [0, 1, 2, 3],
        "downsample_rate": "1/2",
        "vision_config": {"hidden_size": 64},
    },
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "hunyuan_v1_moe": {"num_experts": 4, "moe_topk": 2},
    "radio": {"video_temporal_patch_size": 2},
    "timm_wrapper": {"model_args": {"embed_dim": 32}},
    "xmod": {"default_language": "en_XX"},
    # Sizes that another size decides, or that are passed by another name.
    "bailing_hybrid": {"linear_head_dim": 8, "linear_num_heads": 4},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "dots3_note_text": {
        **_LATENT_HEADS,
        **{f"swa_{name}": value for name, value in _LATENT_HEADS.items()},
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 4,
        "swa_q_lora_rank": 16,
        "swa_kv_lora_rank": 16,
        "sliding_window": 8,
    },
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 8}},
    "gemma3n_audio": {"vocab_size": 4, "vocab_offset": 380},
    "gemma3n_vision": {"vocab_size": 4, "vocab_offset": 376},
    "gemma4_text": {"global_head_dim": 16},
    "gemma4_unified_text": {"global_head_dim": 16},
    "glm5_next_text": {"index_kpool": 4},
    "hunyuan_vl_vision": {"max_image_size": 16},
    "hrm_text": {"num_hidden_layers": 2, "H_cycles": 2, "L_cycles": 1},  # run through 2 * 2 * 2
    "mamba2": {"head_dim": 16},
    "mimi": {"upsample_groups": 32},
    "mistral4": {"qk_rope_head_dim": 8},
    "molmo2_adapter": {"vision_feature_layer": [1, 0]},
    "qwen2_5_omni": {"enable_audio_output": False},
    "reformer": {
        "axial_pos_shape": (16, 32),
        "axial_pos_embds_dim": (8, 24),
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 4,
        "hash_seed": 0,
    },
    "unlimited_ocr_text": {"num_key_value_heads": 4},
    # Rotated pairs that time, height and width share out, where the class has others in mind.
    "ernie4_5_vl_moe_text": _sections(1, 1, 2),
    "glm4v_moe_text": _sections(1, 1, 0),
    "glm4v_text": _sections(2, 1, 1),
    "glm_ocr_text": _sections(2, 1, 1),
    "hunyuan_vl_text": _sections(2, 1, 1),
    "paddleocr_vl_text": _sections(2, 1, 1),
    "qwen2_5_omni_text": _sections(2, 1, 1),
    "qwen2_5_vl_text": _sections(2, 1, 1),
    "qwen2_vl_text": _sections(2, 1, 1),
}
"""Entries of a small configuration by model type; a dict for a part adds to what the part's own
type has.
"""

REPLACED = {"gemma3n_vision": "siglip_vision_model", "timm_wrapper": "siglip_vision_model"}
"""Towers of images that come from another library and are not small there -> one of transformers
that stands for them. No text passes through either.
"""
