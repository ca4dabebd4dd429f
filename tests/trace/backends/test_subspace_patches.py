"""Patches within and without a subspace on every backend: against layers that are written out, and
against the packed engine, which is tested against hooks written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.models.precision import set_precision
from workbench.trace import COMPONENTS, Branch, Patch, Site, Subspace, TokenTree
from workbench.trace.backends import engine
from workbench.trace.checks import site_width

MakeTiny = Callable[..., LanguageModel]
OTHERS = ["nnsight", "transformer-lens"]
PROMPTS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34]]
LAST = torch.tensor([7, 3, 4])
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 5}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gemma2": MIXED,
    "gemma3_text": MIXED,
    "gpt_neox": {"num_key_value_heads": 4},
    "qwen3": {},
    "mistral": {"sliding_window": 5},
    "qwen3_moe": {},
    "gpt2": {"num_key_value_heads": 4},
    "granite": {"residual_multiplier": 0.3},
    "falcon_h1": {},
}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def branches_of(lm: LanguageModel) -> list[Branch]:
    """A patch of each mode at every component, and several of them in one branch."""
    generator = torch.Generator().manual_seed(7)
    out: list[Branch] = []
    for number, component in enumerate(COMPONENTS):
        if missing_component_reason(lm, component):
            continue
        sliced = component in ("head_out", "query", "key", "value", "neuron")
        site = Site(number % 3, component, 1 if sliced else None)
        if component == "neuron":
            site = Site(2, component, 7, 5)
        width = site_width(lm, site)
        value = torch.randn((3, width), generator=generator)
        span = Subspace(torch.randn((width, 1 + number % 3), generator=generator))
        at = LAST - number % 2
        out += [
            [Patch(site, at, 3 * value, "within", span)],
            [Patch(site, at, mode="within", subspace=span, factor=-4.0)],
            [Patch(site, at, mode="without", subspace=span)],
        ]
    singles = [branch[0] for branch in out]
    added = Patch(Site(1), LAST, torch.randn((3, 32), generator=generator), "add")
    return [*out, [*singles[::-2], added], [added, *singles[::3]]]


def logits(found: torch.Tensor) -> torch.Tensor:
    return found[:, 10:60].float()


@pytest.mark.parametrize("name", ["packed", *OTHERS])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_every_backend_is_the_formula_in_layers_written_out(
    make_tiny: MakeTiny, oracle: Callable[..., Any], family: str, name: str
) -> None:
    lm = make_tiny(family)
    branches = branches_of(lm)
    expected = oracle(lm).patch(PROMPTS, branches, logits)
    found = engine(name)(lm).patch(PROMPTS, branches, logits, tokens_per_forward=400)
    torch.testing.assert_close(found.patched, expected.patched, **CLOSE)
    moved = (expected.patched - expected.base[:, None]).abs().amax(dim=(0, 2))
    assert float((moved > 1e-3).float().mean()) > 0.8


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:.*(rows of equal length|whole string):UserWarning")
def test_every_backend_gives_what_the_packed_engine_gives(
    make_tiny: MakeTiny, family: str, name: str
) -> None:
    if (family, name) == ("falcon_h1", "transformer-lens"):
        pytest.skip("transformer-lens has no bridge of this family")
    lm = make_tiny(family, **FAMILIES[family])
    tree = TokenTree((40,), (-1,))
    stream = [
        branch
        for branch in branches_of(lm)
        if all(p.site.component in ("resid_pre", "resid_post", "mlp_out") for p in branch)
    ]
    expected, found = (
        engine(each)(lm).patch(PROMPTS, stream[::2], logits, tokens_per_forward=200, tree=tree)
        for each in ("packed", name)
    )
    torch.testing.assert_close(found.base, expected.base, **CLOSE)
    torch.testing.assert_close(found.patched, expected.patched, **CLOSE)


def test_a_server_needs_nothing_but_what_it_is_sent(tiny_lm: LanguageModel) -> None:
    """The request is packed and unpacked with the modules hidden that a server lacks."""
    branches = branches_of(tiny_lm)[:6]
    expected, found = (
        engine(name, **where)(tiny_lm).patch(PROMPTS, branches, torch.abs, tokens_per_forward=400)
        for name, where in (("packed", {}), ("nnsight", {"remote": "local"}))
    )
    torch.testing.assert_close(found.patched, expected.patched, **CLOSE)


@pytest.mark.parametrize("name", ["packed", *OTHERS])
def test_a_model_that_computes_in_bfloat16_keeps_what_is_orthogonal_exact(
    make_tiny: MakeTiny, name: str
) -> None:
    """The stream stays float32 there; products rounded to bfloat16 would move it by a hundredth."""
    lm = make_tiny("llama")
    set_precision(lm, "bfloat16")
    width, site = 32, Site(3)
    span = Subspace(torch.randn((width, 4), generator=torch.Generator().manual_seed(1)))
    value = 100 * torch.randn((1, width), generator=torch.Generator().manual_seed(2))
    seen: list[torch.Tensor] = []
    one = engine(name)(lm)
    head = one.bridge.ln_final if name == "transformer-lens" else lm.decoder().norm
    handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0][:, -1].clone()))
    swap = Patch(site, LAST[:1], value, "within", span)
    one.patch(PROMPTS[:1], [[swap]], logits, tokens_per_forward=400)
    handle.remove()
    base = one.record(PROMPTS[:1], [[7]], [site])[:, 0, 0]
    assert base.dtype == torch.float32
    expected = base - span.project(base) + span.project(value)
    torch.testing.assert_close(seen[-1], expected, rtol=1e-4, atol=1e-4)
