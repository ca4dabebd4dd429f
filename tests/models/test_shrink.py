from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

from workbench.errors import WorkbenchError
from workbench.models.shrink import build, families, tiny_config
from workbench.models.shrink_faults import PROMPT, find_fault

CAUSAL = tuple(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
WELL_KNOWN = (
    "apertus", "bloom", "deepseek_v3", "exaone4", "falcon", "gemma3", "gemma3n", "gemma3n_text",
    "gemma4", "gemma4_text", "glm4", "glm4_moe", "gptj", "llama4", "ministral3", "mistral3", "mpt",
    "nemotron", "olmo3", "opt", "phi", "phimoe", "qwen2_moe", "qwen3_5", "stablelm", "starcoder2",
)  # fmt: skip
CANNOT_RUN = {
    "gemma4_assistant": "drafts for a model whose keys it reads; its default is refused",
    "gemma4_unified_assistant": "drafts for a model whose keys it reads",
    "musicgen": "its class reads the configuration of its decoder alone",
    "musicgen_melody": "its class reads the configuration of its decoder alone",
}
NOT_CAUSAL = {
    "cpmant": "reads what it is given from both sides, as a prompt",
    "prophetnet": "its predicting streams read their position bias from other positions' states",
    "reformer": "sorts all positions into buckets and attends within chunks of them",
}
WINDOWS = {
    "cohere2": "sliding_window",
    "exaone4": "sliding_window",
    "gemma2": "sliding_window",
    "gemma3": "sliding_window",
    "gemma3n_text": "sliding_window",
    "gemma4": "sliding_window",
    "gpt_neo": "window_size",
    "gpt_oss": "sliding_window",
    "llama4_text": "attention_chunk_size",
    "mistral": "sliding_window",
    "modernbert-decoder": "local_attention",
    "olmo3": "sliding_window",
    "qwen2": "sliding_window",
    "recurrent_gemma": "attention_window_size",
}
CHANGED = 12


@cache
def fault(family: str) -> str:
    return find_fault(family)


def logits_of(model: Any, tokens: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]


@pytest.mark.parametrize("family", families())
def test_a_family_runs_or_says_why_not(family: str) -> None:
    """Frozen, no parameter constant, the same again by its seed, finite, causal where the family
    is.
    """
    try:
        model = build(family, 0)
        logits = logits_of(model, PROMPT)
        assert len(logits) == len(PROMPT)
    except Exception:
        reasons = ("it cannot be built: ", "it cannot read text alone: ", "it gives ")
        assert fault(family).startswith(reasons)
        assert family in CANNOT_RUN or family not in CAUSAL
        assert family not in WELL_KNOWN
        return
    assert family not in CANNOT_RUN
    parameters = dict(model.named_parameters())
    assert not [name for name, values in parameters.items() if values.requires_grad]
    assert not [name for name, values in parameters.items() if not values.isfinite().all()]
    many = {name: values for name, values in parameters.items() if values.numel() > 1}
    assert not [name for name, values in many.items() if values.min() == values.max()]
    again = build(family, 0).state_dict()
    assert not [
        name for name, values in model.state_dict().items() if not values.equal(again[name])
    ]
    other = logits_of(model, (*PROMPT[:CHANGED], PROMPT[CHANGED] + 1, *PROMPT[CHANGED + 1 :]))
    change = (logits - other).abs().amax(-1)
    assert change.isfinite().all()
    assert change[CHANGED + 1 :].max() > 1e-4
    if family in NOT_CAUSAL:
        assert change[:CHANGED].max() > 1e-3
    else:
        assert change[:CHANGED].max() < 1e-4


@pytest.mark.parametrize("family", families())
def test_every_kind_of_layer_of_the_default_occurs(family: str) -> None:
    try:
        default = AutoConfig.for_model(family)
        small = tiny_config(family)
    except Exception:
        assert fault(family)
        return
    kinds = ("layer_types", "mlp_layer_types", "layers_block_type", "attention_layers")
    big, tiny = (config.get_text_config(decoder=True) for config in (default, small))
    for name in kinds:
        assert set(getattr(big, name, None) or ()) <= set(getattr(tiny, name, None) or ())
    if getattr(big, "num_hidden_layers", 0):
        assert min(4, big.num_hidden_layers) <= tiny.num_hidden_layers <= 8


@pytest.mark.parametrize("family", ["deepseek_v3", "gemma4_text", "llama", "mamba2", "qwen3_5"])
def test_the_seed_decides_the_weights(family: str) -> None:
    first, again, other = (build(family, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    same = [name for name in first if torch.equal(first[name], other[name])]
    assert [name for name in same if not name.endswith("A_log")] == []  # that one counts states


@pytest.mark.parametrize(("family", "window"), sorted(WINDOWS.items()))
def test_windows_are_shorter_than_the_prompt(family: str, window: str) -> None:
    """A wide window changes what the last tokens give, and nothing within the first."""
    narrow, wide = build(family, 0), build(family, 0, **{window: 512})
    change = (logits_of(narrow, PROMPT) - logits_of(wide, PROMPT)).abs().amax(-1)
    assert change[:4].max() < 1e-4
    assert change[-1] > 1e-4


def test_sizes_are_small() -> None:
    config = tiny_config("llama")
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (32, 4, 384)
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (4, 2, 8)
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (None, 1, 2)
    assert config.initializer_range == 0.2


def test_latent_heads_have_keys_and_values_of_other_widths() -> None:
    config = tiny_config("deepseek_v3")
    assert (config.qk_nope_head_dim, config.qk_rope_head_dim, config.qk_head_dim) == (8, 4, 12)
    assert (config.v_head_dim, config.q_lora_rank, config.kv_lora_rank) == (8, 16, 16)
    assert config.num_key_value_heads == config.num_attention_heads == 4


def test_heads_of_full_layers_are_wider_in_gemma_4() -> None:
    config = tiny_config("gemma4_text")
    widths = [layer.head_dim for layer in config.per_layer_config]
    assert widths == [8, 8, 8, 16]


def test_dense_layers_come_before_layers_of_experts() -> None:
    layers = build("ernie4_5_moe").model.layers
    assert ["experts" in dict(layer.mlp.named_children()) for layer in layers] == [
        False,
        *[True] * 3,
    ]


def test_layers_that_share_keys_follow_one_of_their_type() -> None:
    config = tiny_config("gemma3n_text")
    assert config.num_kv_shared_layers == 2
    assert config.layer_types[:2] == config.layer_types[2:]


def test_overrides_go_to_the_part_that_has_them() -> None:
    config = tiny_config("gemma3", sliding_window=4, mm_tokens_per_image=9)
    assert config.text_config.sliding_window == 4
    assert config.mm_tokens_per_image == 9
    assert tiny_config("gemma3").text_config.sliding_window == 8


def test_a_number_of_layers_cuts_the_lists_over_layers() -> None:
    config = tiny_config("gemma3_text", num_hidden_layers=6)
    assert config.layer_types == ["sliding_attention"] * 5 + ["full_attention"]
    assert tiny_config("llama", num_hidden_layers=2).num_hidden_layers == 2
    assert tiny_config("deepseek_v3", num_hidden_layers=1).num_hidden_layers == 1


def test_the_class_with_images_is_built_when_it_is_asked_for() -> None:
    assert type(build("qwen3_5")).__name__ == "Qwen3_5ForCausalLM"
    assert type(build("qwen3_5", whole=True)).__name__ == "Qwen3_5ForConditionalGeneration"


def test_building_leaves_the_generator_and_the_settings_of_torch_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build("llama", 1)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_family_that_is_not_registered_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="no causal language model of the type 'nothing'"):
        tiny_config("nothing")
