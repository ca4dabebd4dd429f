from __future__ import annotations

from typing import Any

import pytest

from workbench.models.shrink_sizes import shrink_entry


@pytest.mark.parametrize(
    ("name", "value", "small"),
    [
        ("hidden_size", 4096, 32),
        ("out_hidden_size", 3584, 32),
        ("intermediate_size", 14336, 64),
        ("moe_intermediate_size", 1408, 32),
        ("num_attention_heads", 32, 4),
        ("linear_num_value_heads", 32, 4),
        ("linear_num_key_heads", 16, 2),
        ("qk_rope_head_dim", 64, 4),
        ("qk_rope_head_dim", 0, 0),
        ("kv_lora_rank", 512, 16),
        ("num_local_experts", 128, 4),
        ("num_local_experts", 1, 1),
        ("num_experts_per_tok", 1, 1),
        ("sliding_window", 4096, 8),
        ("vocab_size", 128256, 384),
        ("type_vocab_size", 2, 2),
        ("max_position_embeddings", 131072, 512),
        ("initializer_range", 0.02, 0.2),
        ("rms_norm_eps", 1e-6, 1e-6),
        ("use_cache", True, True),
        ("conv_kernel", 4, 4),
        ("pad_token_id", 128001, 0),
        ("eos_token_id", [151643, 151645], [2, 2]),
        ("image_token_id", 151655, 380),
        ("moe_layer_start_index", 1, 1),
        ("intermediate_size", [16384, 8192], [64, 64]),
        ("hidden_act", "silu", "silu"),
    ],
)
def test_an_entry_is_shrunk_by_its_role(name: str, value: Any, small: Any) -> None:
    found = shrink_entry(name, value, 3)
    assert found == small
    assert type(found) is type(value)


def test_rotary_entries_are_shrunk_inside_their_dict() -> None:
    found = shrink_entry(
        "rope_parameters",
        {
            "full_attention": {
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
                "original_max_position_embeddings": 8192,
            }
        },
        0,
    )
    assert found == {
        "full_attention": {
            "rope_theta": 1e6,
            "mrope_section": [2, 1, 1],
            "original_max_position_embeddings": 512,
        }
    }
