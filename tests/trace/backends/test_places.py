from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from tests.support.tiny_models import PACKABLE
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.slices import SLICED
from workbench.trace.backends import engine
from workbench.trace.backends.places import FORWARD_ORDER, RemoteHookPoint, forward_order, places_of
from workbench.trace.interventions import Patch
from workbench.trace.sites import COMPONENTS, Site

MakeTiny = Callable[..., LanguageModel]
PROMPTS = [[5, 6, 7, 8, 9, 10], [20, 21, 22]]
POSITIONS = [[1, 5], [2, 0]]
MANY_HEADS = {"gpt2": {"num_key_value_heads": 4}, "gpt_neox": {"num_key_value_heads": 4}}
NAMES = ["packed", "loop", "nnsight", "transformer-lens"]


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for family in PACKABLE:
        yield family, MANY_HEADS.get(family, {})
    yield "gpt_neox", {**MANY_HEADS["gpt_neox"], "use_parallel_residual": False}
    yield "granite", {"residual_multiplier": 0.25}


def is_parallel(family: str, overrides: dict[str, Any]) -> bool:
    return family == "cohere2" or (
        family == "gpt_neox" and overrides.get("use_parallel_residual", True)
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("family", "overrides"), cases())
def test_what_is_added_to_the_stream_adds_up(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], name: str
) -> None:
    """The stream behind a layer is the stream before it plus both outputs, and in between lies
    the stream plus one.
    """
    lm = make_tiny(family, **overrides)
    parallel = is_parallel(family, overrides)
    components = ("resid_pre", "attn_out", "mlp_out", "resid_post", "resid_mid")
    sites = [
        Site(layer, c)
        for layer in range(4)
        for c in components
        if not (parallel and c == "resid_mid")
    ]
    states = engine(name)(lm).record(PROMPTS, POSITIONS, sites).unflatten(1, (4, -1))
    pre, attention, mlp, post = states[:, :, :4].unbind(2)
    torch.testing.assert_close(pre + attention + mlp, post, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(post[:, :-1], pre[:, 1:], rtol=0, atol=0)
    if not parallel:
        torch.testing.assert_close(pre + attention, states[:, :, 4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("family", "overrides"), [case for case in cases() if not is_parallel(*case)]
)
def test_a_stream_may_be_written_at_the_stream_or_at_what_is_added(
    make_tiny: MakeTiny, family: str, overrides: dict[str, Any], name: str
) -> None:
    """Writing the stream equals writing the addition that would bring it there, so the write
    reaches the addition too.
    """
    lm = make_tiny(family, **overrides)
    one = engine(name)(lm)
    at = torch.tensor([4, 1])
    pre, mid = one.record(PROMPTS, at[:, None], [Site(1, "resid_pre"), Site(1, "resid_mid")])[
        :, :, 0
    ].unbind(1)
    value = torch.randn((2, 32), generator=torch.Generator().manual_seed(1))
    added = torch.randn((2, 32), generator=torch.Generator().manual_seed(2))
    branches = [
        [Patch(Site(1, "resid_mid"), at, value)],
        [Patch(Site(1, "attn_out"), at, value - pre)],
        [Patch(Site(1, "resid_post"), at, value + added)],
        [Patch(Site(1, "resid_mid"), at, value), Patch(Site(1, "mlp_out"), at, added)],
        [Patch(Site(1, "resid_mid"), at, mid)],
    ]
    found = one.patch(PROMPTS, branches, lambda logits: logits, tokens_per_forward=100)
    stream, addition, whole, parts, same = found.patched.unbind(1)
    torch.testing.assert_close(stream, addition, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(same, found.base, rtol=1e-5, atol=1e-5)
    assert (stream - found.base).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["cohere2", "gpt_neox"])
def test_a_place_the_family_lacks_is_refused_before_a_forward(
    make_tiny: MakeTiny, family: str, name: str
) -> None:
    one = engine(name)(make_tiny(family, **MANY_HEADS.get(family, {})))
    site = Site(1, "resid_mid")
    with pytest.raises(
        WorkbenchError, match=f"{family} has no resid_mid: .* in parallel; choose another component"
    ):
        one.record(PROMPTS, POSITIONS, [site])
    patch = Patch(site, torch.tensor([1, 1]), torch.ones(2, 32))
    with pytest.raises(WorkbenchError, match=f"{family} has no resid_mid"):
        one.patch(PROMPTS, [[patch]], lambda logits: logits, tokens_per_forward=100)


def test_places_are_paths_sides_and_parts_of_the_width(make_tiny: MakeTiny) -> None:
    lm = make_tiny("granite", residual_multiplier=0.25)
    sites = [
        Site(1),
        Site(1, "head_out", 2),
        Site(0, "mlp_out"),
        Site(1, "resid_pre"),
        Site(2, "resid_mid"),
        Site(3, "key", 1),
        Site(3, "neuron", 5, 7),
    ]
    assert places_of(lm, sites) == [
        RemoteHookPoint("model.layers.1", "output", 0, 32, 1.0),
        RemoteHookPoint("model.layers.1.self_attn.o_proj", "input", 16, 24, 1.0),
        RemoteHookPoint("model.layers.0.mlp", "output", 0, 32, 0.25),
        RemoteHookPoint("model.layers.1", "input", 0, 32, 1.0),
        RemoteHookPoint("model.layers.2.post_attention_layernorm", "input", 0, 32, 1.0),
        RemoteHookPoint("model.layers.3.self_attn.k_proj", "output", 8, 16, 1.0),
        RemoteHookPoint("model.layers.3.mlp.down_proj", "input", 5, 12, 1.0),
    ]


def test_sites_sort_as_a_forward_reaches_them(make_tiny: MakeTiny) -> None:
    """By the order in which hooks on the modules themselves fire."""
    lm = make_tiny("gemma2")
    sites = [
        Site(layer, c, 0 if c in SLICED else None) for layer in (1, 0) for c in sorted(COMPONENTS)
    ]
    fired: list[Site] = []
    modules = dict(lm.base().named_modules())
    for site, place in zip(sites, places_of(lm, sites), strict=True):

        def note(*_: Any, site: Site = site) -> None:
            fired.append(site)

        if place.side != "output":
            modules[place.path].register_forward_pre_hook(note)
        else:
            modules[place.path].register_forward_hook(note)
    lm.model(torch.tensor([[5, 6, 7]]))
    assert fired == sorted(sites, key=forward_order)
    assert sorted(FORWARD_ORDER) == sorted(COMPONENTS)
