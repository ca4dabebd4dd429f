from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason, place_of, scale_of

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize(
    ("family", "component", "path", "side"),
    [
        ("llama", "resid_pre", "", "input"),
        ("llama", "resid_post", "", "output"),
        ("llama", "resid_mid", "post_attention_layernorm", "input"),
        ("llama", "head_out", "self_attn.o_proj", "input"),
        ("gemma2", "attn_out", "post_attention_layernorm", "output"),
        ("gemma3_text", "mlp_out", "post_feedforward_layernorm", "output"),
        ("olmo2", "resid_mid", "mlp", "input"),
        ("gpt2", "head_out", "attn.c_proj", "input"),
        ("gpt_neox", "attn_out", "attention", "output"),
        ("falcon_h1", "mlp_out", "feed_forward", "output"),
    ],
)
def test_places(make_tiny: MakeTiny, family: str, component: str, path: str, side: str) -> None:
    lm = make_tiny(family)
    place = place_of(lm, 2, component)
    assert place.module is (lm.layers()[2].get_submodule(path) if path else lm.layers()[2])
    assert place.side == side
    assert place.scale == 1


def test_a_multiplier_scales_what_is_added_and_nothing_else(make_tiny: MakeTiny) -> None:
    lm = make_tiny("granite", residual_multiplier=0.3)
    scales = [
        scale_of(lm, c)
        for c in ("attn_out", "mlp_out", "resid_pre", "resid_mid", "resid_post", "head_out")
    ]
    assert scales == [0.3, 0.3, 1, 1, 1, 1]
    assert place_of(lm, 0, "mlp_out").scale == 0.3


@pytest.mark.parametrize(
    ("family", "missing"),
    [
        ("llama", set()),
        ("cohere2", {"resid_mid"}),
        ("gpt_neox", {"resid_mid"}),
        ("falcon_h1", {"attn_out"}),
        ("qwen3_next", {"attn_out", "head_out"}),
    ],
)
def test_what_a_family_lacks_is_refused_with_the_reason(
    make_tiny: MakeTiny, family: str, missing: set[str]
) -> None:
    lm = make_tiny(family)
    components = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_out")
    assert {c for c in components if missing_component_reason(lm, c)} == missing
    for component in missing:
        with pytest.raises(
            WorkbenchError, match=f"{family} has no {component}: .*choose another component"
        ):
            place_of(lm, 0, component)


def test_a_sequential_gpt_neox_has_a_middle(make_tiny: MakeTiny) -> None:
    assert not missing_component_reason(
        make_tiny("gpt_neox", use_parallel_residual=False), "resid_mid"
    )


def test_heads_are_query_heads(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama", head_dim=16)
    assert (lm.n_heads, lm.head_size) == (4, 16)
    gpt2 = make_tiny("gpt2")
    assert (gpt2.n_heads, gpt2.head_size) == (4, 8)
