"""Rows derived from models: the paths and numbers that people wrote by hand before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, derive_architecture

MakeTiny = Callable[..., LanguageModel]

LLAMA = {
    "decoder": "model",
    "layers": "model.layers",
    "final_norm": "model.norm",
    "before_head": "",
    "embedding": "model.embed_tokens",
    "head": "lm_head",
    "attention": "self_attn",
    "mlp": "mlp",
    "attention_output": "self_attn.o_proj",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "joined_by_head": False,
    "heads": 4,
    "head_size": 8,
    "key_value_heads": 2,
    "neurons": "mlp.down_proj",
    "neuron_count": 64,
    "attention_added": "self_attn",
    "mlp_added": "mlp",
    "mid": "post_attention_layernorm",
    "added_scale": 1.0,
    "parallel": False,
    "logit_scale": 1.0,
    "logit_softcap": None,
    "first_position": 0,
}
EXPERTS = {"neurons": "", "neuron_count": 0}
FOUR_NORMS = {
    "attention_added": "post_attention_layernorm",
    "mlp_added": "post_feedforward_layernorm",
    "mid": "pre_feedforward_layernorm",
}
NO_HEADS = {"attention_output": "", "heads": 0, "head_size": 0, "key_value_heads": 0}
NO_PROJECTIONS = dict.fromkeys(("query", "key", "value"), "")


def joined(path: str, heads: int = 2) -> dict[str, Any]:
    return {**dict.fromkeys(("query", "key", "value"), path), "key_value_heads": heads}


WRITTEN: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "mixtral": EXPERTS,
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": EXPERTS,
    "gemma2": {**FOUR_NORMS, "logit_softcap": 30.0},
    "gemma3_text": FOUR_NORMS,
    "phi3": joined("self_attn.qkv_proj"),
    "olmo2": {**FOUR_NORMS, "mid": "mlp"},
    "gpt_oss": EXPERTS,
    "cohere2": {"mid": "", "parallel": True, "logit_scale": 0.0625},
    "granite": {"logit_scale": 0.25},
    "smollm3": {},
    "gpt_neox": {
        "decoder": "gpt_neox",
        "layers": "gpt_neox.layers",
        "final_norm": "gpt_neox.final_layer_norm",
        "embedding": "gpt_neox.embed_in",
        "attention": "attention",
        "attention_added": "attention",
        "attention_output": "attention.dense",
        **joined("attention.query_key_value", 4),
        "joined_by_head": True,
        "neurons": "mlp.dense_4h_to_h",
        "mid": "",
        "parallel": True,
    },
    "gpt2": {
        "decoder": "transformer",
        "layers": "transformer.h",
        "final_norm": "transformer.ln_f",
        "embedding": "transformer.wte",
        "attention": "attn",
        "attention_added": "attn",
        "attention_output": "attn.c_proj",
        **joined("attn.c_attn", 4),
        "neurons": "mlp.c_proj",
        "neuron_count": 128,
        "mid": "ln_2",
    },
    "falcon_h1": {
        "final_norm": "model.final_layernorm",
        "attention_added": "",
        "mlp": "feed_forward",
        "mlp_added": "feed_forward",
        "mid": "pre_ff_layernorm",
        "neurons": "feed_forward.down_proj",
        "logit_scale": 0.5,
    },
    "qwen3_next": {
        **EXPERTS,
        **NO_HEADS,
        **NO_PROJECTIONS,
        "attention": "",
        "attention_added": "",
    },
}


@pytest.mark.parametrize("family", WRITTEN)
def test_the_row_is_the_one_that_was_written_by_hand(make_tiny: MakeTiny, family: str) -> None:
    row = derive_architecture(make_tiny(family).base())
    assert {name: getattr(row, name) for name in LLAMA} == {**LLAMA, **WRITTEN[family]}


@pytest.mark.parametrize(
    ("family", "settings", "found"),
    [
        ("granite", {"residual_multiplier": 0.3}, {"added_scale": 0.3}),
        ("gpt_neox", {"use_parallel_residual": False}, {"mid": "post_attention_layernorm"}),
        ("cohere2", {"logit_scale": 1.0}, {"logit_scale": 1.0}),
        ("gemma2", {"final_logit_softcapping": 0.5}, {"logit_softcap": 0.5}),
        ("gemma3_text", {"final_logit_softcapping": 12.0}, {"logit_softcap": 12.0}),
        ("gemma2", {"sliding_window": 2}, {"attention": "self_attn", "query": "self_attn.q_proj"}),
        ("mistral", {"sliding_window": 2}, {"attention": "self_attn", "key": "self_attn.k_proj"}),
        ("llama", {"head_dim": 16}, {"head_size": 16, "heads": 4}),
        ("llama", {"num_key_value_heads": 4}, {"key_value_heads": 4}),
        ("qwen2", {"num_key_value_heads": 1}, {"key_value_heads": 1}),
    ],
)
def test_peculiar_configurations_are_read_off(
    make_tiny: MakeTiny, family: str, settings: dict[str, Any], found: dict[str, Any]
) -> None:
    row = derive_architecture(make_tiny(family, **settings).base())
    assert {name: getattr(row, name) for name in found} == found


def test_names_say_nothing(make_tiny: MakeTiny) -> None:
    """Queries and keys under each other's names are told apart by what they do."""
    base = make_tiny("llama", num_key_value_heads=4).base()
    for layer in base.model.layers:
        attention = layer.self_attn
        inner = attention.forward
        attention.q_proj, attention.k_proj = attention.k_proj, attention.q_proj

        def forward(
            *args: Any, attention: Any = attention, inner: Any = inner, **options: Any
        ) -> Any:
            attention.q_proj, attention.k_proj = attention.k_proj, attention.q_proj
            try:
                return inner(*args, **options)
            finally:
                attention.q_proj, attention.k_proj = attention.k_proj, attention.q_proj

        attention.forward = forward
    row = derive_architecture(base)
    assert (row.query, row.key, row.value) == (
        "self_attn.k_proj",
        "self_attn.q_proj",
        "self_attn.v_proj",
    )


def test_the_model_is_left_as_it_was(tiny_lm: LanguageModel) -> None:
    base = tiny_lm.base().train()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    derive_architecture(base)
    assert base.training
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in base.modules())


def test_a_model_without_layers_is_refused(tiny_lm: LanguageModel) -> None:
    base = tiny_lm.base()
    base.model.layers = torch.nn.ModuleList()
    base.config.num_hidden_layers = 0
    with pytest.raises(WorkbenchError, match="no list of decoder layers"):
        derive_architecture(base)


def test_layers_that_are_used_twice_are_no_stack(tiny_lm: LanguageModel) -> None:
    layers = tiny_lm.base().model.layers
    layers[2] = layers[1]
    with pytest.raises(WorkbenchError, match="called once each"):
        derive_architecture(tiny_lm.base())
