from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.validate import validate

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize(
    ("family", "overrides"),
    [
        ("granite", {"residual_multiplier": 0.3}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("llama", {"head_dim": 16}),
    ],
)
def test_peculiar_configurations_hold(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any]
) -> None:
    validate(make_tiny(family, **overrides))


@pytest.mark.parametrize(
    ("family", "overrides", "change", "message"),
    [
        (
            "gemma2",
            {},
            {"attention_added": "self_attn"},
            r"layer 0 resid_pre \+ attn_out and resid_mid differ",
        ),
        (
            "gemma3_text",
            {},
            {"mlp_added": "mlp"},
            r"half of resid_mid \+ mlp_out and resid_post differ",
        ),
        ("olmo2", {}, {"mid": "post_attention_layernorm"}, "resid_mid differ"),
        ("granite", {"residual_multiplier": 0.3}, {"added_scale": 1.0}, "resid_mid differ"),
        (
            "cohere2",
            {},
            {"mlp_added": "self_attn"},
            r"resid_pre \+ attn_out \+ mlp_out and resid_post differ",
        ),
        (
            "gpt_neox",
            {},
            {"parallel": False, "mid": "post_attention_layernorm"},
            "resid_mid differ",
        ),
        (
            "llama",
            {},
            {"attention_output": "mlp.down_proj"},
            "head_out has 64 numbers a token, not 4 slices of 8",
        ),
        ("llama", {}, {"neurons": "self_attn.o_proj"}, "neuron has 32 numbers a token, not 64"),
        ("llama", {}, {"value": "self_attn.k_proj"}, "layer 0 the heads of the first token are no"),
        ("gpt2", {}, {"joined_by_head": True}, "the heads of the first token are no shares"),
        ("gpt_neox", {}, {"joined_by_head": False}, "the heads of the first token are no shares"),
        ("falcon_h1", {}, {"mid": "mamba"}, "differ|no module"),
    ],
)
def test_a_wrong_row_is_noticed(
    make_tiny: MakeTiny,
    family: str,
    overrides: dict[str, Any],
    change: dict[str, str],
    message: str,
) -> None:
    lm = make_tiny(family, **overrides)
    # Fresh norms have weight 1 in every layer; move them so that a norm left out is seen.
    for layer in lm.layers():
        for name, weight in layer.named_parameters():
            if "norm" in name and weight.dim() == 1:
                torch.nn.init.uniform_(weight.data, 0.5, 1.5)
    validate(lm)
    with pytest.raises(WorkbenchError, match=message):
        validate(replace(lm, architecture=replace(lm.architecture, **change)))


def test_a_layer_that_adds_to_a_copy_of_the_middle_is_noticed(tiny_lm: LanguageModel) -> None:
    """Then a state written to the middle would reach the MLP and not the stream."""
    norm = tiny_lm.layers()[1].post_attention_layernorm
    inner = norm.forward
    norm.forward = lambda hidden: inner(hidden)
    validate(tiny_lm)
    handle = norm.register_forward_pre_hook(lambda module, args: (args[0].clone(),), prepend=True)
    with pytest.raises(
        WorkbenchError, match=r"in layer 1 half of resid_mid \+ mlp_out and resid_post differ"
    ):
        validate(tiny_lm)
    handle.remove()


def test_heads_without_values_are_no_fault(tiny_lm: LanguageModel) -> None:
    """Pruned heads give nothing, which is a share of nothing."""
    with torch.no_grad():
        tiny_lm.layers()[1].get_submodule("self_attn.v_proj").weight[:8] = 0
    validate(tiny_lm)


@pytest.mark.parametrize(
    ("dtype", "sink"), [(torch.float16, 20), (torch.bfloat16, 100), (torch.float32, 120)]
)
def test_sinks_that_take_all_attention_are_no_fault(
    make_tiny: MakeTiny, dtype: torch.dtype, sink: float
) -> None:
    lm = make_tiny("gpt_oss")
    for layer in lm.layers():
        layer.get_submodule("self_attn").sinks.data.fill_(sink)
    lm.base().to(dtype)
    validate(lm)
