from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.trace.backends.activation_cache import to_activation_cache
from workbench.trace.backends.lens import LensBackend
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10], [20, 21, 22]]
POSITIONS = [[1, 5], [2, 0]]
STREAM = [
    Site(layer, c)
    for layer in range(4)
    for c in ("resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")
]
HEADS = [
    Site(layer, name, head)  # type: ignore[arg-type]
    for layer in range(4)
    for name, heads in (
        ("head_out", (2, 0, 1, 3)),
        ("query", (0, 1, 3, 2)),
        ("key", (1, 0)),
        ("value", (0, 1)),
    )
    for head in heads
]


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_the_cache_is_what_the_bridge_itself_caches(make_tiny: MakeTiny, family: str) -> None:
    """States recorded by nnsight, against run_with_cache of each row alone."""
    lm = make_tiny(family)
    bridge, recorder = LensBackend(lm).bridge, NnsightBackend(lm)
    states = recorder.record(PROMPTS, POSITIONS, STREAM)
    cache = to_activation_cache(
        states, STREAM, bridge, heads=(recorder.record(PROMPTS, POSITIONS, HEADS), HEADS)
    )
    for row, tokens in enumerate(PROMPTS):
        with torch.no_grad():
            _, own = bridge.run_with_cache(torch.tensor([tokens]))
        names = [name for name in cache.cache_dict if name != "ln_final.hook_scale"]
        assert len(names) == 4 * 9
        for name in [*names, "ln_final.hook_scale"]:
            torch.testing.assert_close(
                cache[name][row], own[name][0, POSITIONS[row]], rtol=1e-4, atol=1e-4
            )


def test_tools_of_transformer_lens_go_on_from_there(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    bridge, recorder = LensBackend(lm).bridge, NnsightBackend(lm)
    states = recorder.record(PROMPTS, POSITIONS, STREAM)
    heads = recorder.record(PROMPTS, POSITIONS, HEADS)
    cache = to_activation_cache(states, STREAM, bridge, heads=(heads, HEADS))
    axis = {site: index for index, site in enumerate(STREAM)}

    stacked, labels = cache.accumulated_resid(incl_mid=True, return_labels=True)
    assert labels == [
        "0_pre",
        "0_mid",
        "1_pre",
        "1_mid",
        "2_pre",
        "2_mid",
        "3_pre",
        "3_mid",
        "final_post",
    ]
    torch.testing.assert_close(stacked[-1], states[:, axis[Site(3)]])

    lens = cache.accumulated_resid(apply_ln=True)[-1] @ bridge.W_U
    torch.testing.assert_close(
        lens, unembed(lm, lm.final_norm()(states[:, axis[Site(3)]])), rtol=1e-4, atol=1e-4
    )

    outputs, labels = cache.decompose_resid(return_labels=True)
    assert len(labels) == 8
    embedded = states[:, axis[Site(0, "resid_pre")]]
    torch.testing.assert_close(
        outputs.sum(0) + embedded, states[:, axis[Site(3)]], rtol=1e-4, atol=1e-4
    )

    scaled = cache.decompose_resid(apply_ln=True)
    rms = states[:, axis[Site(3)]].pow(2).mean(-1, keepdim=True).add(lm.config.rms_norm_eps).sqrt()
    torch.testing.assert_close(scaled, outputs / rms, rtol=1e-4, atol=1e-5)

    attributed = cache.logit_attrs(torch.cat([outputs, embedded[None]]), "What")
    [token] = lm.tokenizer("What")["input_ids"]
    assert bool((lm.final_norm().weight == 1).all())
    for row, tokens in enumerate(PROMPTS):
        logits = lm.model(torch.tensor([tokens])).logits[0, POSITIONS[row], token]
        torch.testing.assert_close(attributed[:, row].sum(0), logits, rtol=1e-4, atol=1e-4)

    per_head = cache.stack_head_results(layer=3)
    for layer in range(3):
        added = states[:, axis[Site(layer, "attn_out")]]
        torch.testing.assert_close(
            per_head[4 * layer : 4 * layer + 4].sum(0), added, rtol=1e-4, atol=1e-4
        )

    torch.testing.assert_close(
        cache.stack_activation("mlp_out"),
        torch.stack([states[:, axis[Site(layer, "mlp_out")]] for layer in range(4)]),
    )


def test_states_without_the_last_layer_have_no_final_scale(tiny_lm: LanguageModel) -> None:
    backend = LensBackend(tiny_lm)
    sites = [Site(1), Site(0, "mlp_out")]
    cache = to_activation_cache(backend.record(PROMPTS, POSITIONS, sites), sites, backend.bridge)
    assert set(cache.cache_dict) == {"blocks.1.hook_resid_post", "blocks.0.hook_mlp_out"}
    with pytest.raises(KeyError):
        cache.decompose_resid()


def test_states_that_do_not_fit_their_sites_are_refused(tiny_lm: LanguageModel) -> None:
    bridge = LensBackend(tiny_lm).bridge
    with pytest.raises(WorkbenchError, match="for 2 sites"):
        to_activation_cache(torch.zeros(1, 1, 1, 32), [Site(0), Site(1)], bridge)
    with pytest.raises(WorkbenchError, match="layer 2 lacks 0, 3"):
        to_activation_cache(
            torch.zeros(1, 2, 1, 8), [Site(2, "head_out", 2), Site(2, "head_out", 1)], bridge
        )
