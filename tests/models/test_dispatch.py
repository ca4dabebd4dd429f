"""Layers on two pretended devices: every pass gives what it gives on one, no tensor meets one of
another device, and every byte that is moved is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from tests.support.pretended_devices import (
    FIRST,
    SECOND,
    MixedDevicesError,
    Placed,
    PretendedDevices,
    plain,
    spread_layers,
)
from workbench.elicit.answer import Limits
from workbench.elicit.ask import ask_texts
from workbench.elicit.formats import format_named
from workbench.models import LanguageModel
from workbench.models.dispatch import keeps_weights_away, layer_devices
from workbench.models.moved_bytes import MOVED
from workbench.trace import Patch, Site, patch_branches, record
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.suffix import forward_suffix
from workbench.trace.token_tree import NO_TREE

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]
LAST = torch.tensor([9, 3, 6])


@contextmanager
def counted() -> Iterator[PretendedDevices]:
    """Pretended devices; what left one of them must be what the package counted."""
    before = dict(MOVED.bytes_moved)
    with PretendedDevices() as devices:
        yield devices
    found = {
        pair: size - before.get(pair, 0)
        for pair, size in MOVED.bytes_moved.items()
        if pair in devices.between
    }
    assert found == devices.between
    assert devices.between


@pytest.fixture(params=["llama", "gemma2", "gpt2"])
def pair(
    make_tiny: MakeTiny, request: pytest.FixtureRequest
) -> tuple[LanguageModel, LanguageModel]:
    """A model on one device and on two."""
    options = {"tie_word_embeddings": False}
    return make_tiny(request.param, **options), spread_layers(
        make_tiny(request.param, **options), 2
    )


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(plain(found), expected, rtol=1e-6, atol=1e-6)


def test_the_pretence_raises_where_devices_mix() -> None:
    one, other = (Placed(torch.ones(2), device) for device in (FIRST, SECOND))
    with PretendedDevices() as devices:
        assert (one + one).device == FIRST
        assert (one.to(SECOND) + other).device == SECOND
        assert devices.moved == {("cpu:0", "cpu:1"): 8}
        with pytest.raises(MixedDevicesError, match="cpu:0, cpu:1"):
            one + other
        with pytest.raises(MixedDevicesError, match="cpu, cpu:0"):
            one + torch.ones(2)
        close(other[torch.tensor([1])], torch.ones(1))


@pytest.mark.parametrize("tokens_per_forward", [1000, 30])
def test_packed_sweep(
    pair: tuple[LanguageModel, LanguageModel],
    every_site: list[list[Patch]],
    tokens_per_forward: int,
) -> None:
    """In one pass, and with branches on kept keys and values."""
    whole, split = pair
    options = {"tokens_per_forward": tokens_per_forward}
    expected = patch_branches(whole, ROWS, every_site, lambda x: x[:, :50], **options)
    with counted():
        found = patch_branches(split, ROWS, every_site, lambda x: x[:, :50], **options)
    close(found.base, expected.base)
    close(found.patched, expected.patched)


@pytest.fixture
def every_site() -> list[list[Patch]]:
    """Branches at the last and an earlier token of every layer."""
    draw = torch.Generator().manual_seed(0)
    return [
        [Patch(Site(layer, component), LAST - back, torch.randn(3, 32, generator=draw))]
        for layer in range(4)
        for component in ("resid_post", "mlp_out")
        for back in (0, 2)
    ]


def test_loop_and_recording(
    pair: tuple[LanguageModel, LanguageModel], every_site: list[list[Patch]]
) -> None:
    whole, split = pair
    options = {"tokens_per_forward": 60}
    looped = loop_branches(whole, ROWS, every_site[:3], lambda x: x[:, :50], **options)
    sites = [Site(layer) for layer in range(4)]
    at = (LAST - 1)[:, None].tolist()
    states = record(whole, ROWS, at, sites)
    with counted():
        found = loop_branches(split, ROWS, every_site[:3], lambda x: x[:, :50], **options)
        recorded = record(split, ROWS, at, sites)
    close(found.patched, looped.patched)
    close(recorded, states)


def test_a_mask_is_moved_once_a_device(make_tiny: MakeTiny) -> None:
    """With two layers on the second device and with one, the same bytes go there."""
    branches = [[Patch(Site(0), LAST, torch.zeros(3, 32))]]
    sent = []
    for first in (2, 3):
        split = spread_layers(make_tiny(tie_word_embeddings=False), first)
        with PretendedDevices() as devices:
            patch_branches(split, ROWS, branches, lambda x: x[:, :5], tokens_per_forward=1000)
        sent.append(devices.moved["cpu:0", "cpu:1"])
    assert sent[0] == sent[1]


def test_kept_beginnings_lie_where_their_layer_is(
    pair: tuple[LanguageModel, LanguageModel],
) -> None:
    _, split = pair
    numbers, rests = np.arange(3), [row[-2:] for row in ROWS]
    finals = []
    for lm in pair:
        cache = PrefixCache(10**9, 100, None)
        with PretendedDevices():
            kept = cache.kept(lm, numbers, [row[:-2] for row in ROWS])
            assert [kept.cache.kept[layer][0].device for layer in range(4)] == layer_devices(lm)
        with counted() if lm is split else PretendedDevices():
            finals.append(forward_suffix(lm, kept, rests, NO_TREE).final)
    assert layer_devices(split) == [FIRST, FIRST, SECOND, SECOND]
    close(finals[1], finals[0])


def test_answers_scale_and_states(make_tiny: MakeTiny) -> None:
    """Text, the readout of a scale in one pass, and recorded states."""
    limits = Limits(**dict.fromkeys(Limits.__dataclass_fields__, 5))
    questions = [f"What is {a} plus {b}?" for a in range(2) for b in range(2)]
    found = []
    for lm in (
        make_tiny(tie_word_embeddings=False),
        spread_layers(make_tiny(tie_word_embeddings=False), 1),
    ):
        with PretendedDevices():
            found.append(
                ask_texts(
                    lm,
                    questions,
                    format_named("percent"),
                    limits=limits,
                    tokens_per_forward=300,
                    record=("confidence",),
                )
            )
    assert found[0].table["answer"].equals(found[1].table["answer"])
    np.testing.assert_allclose(found[1].distribution, found[0].distribution, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found[1].states, found[0].states, rtol=1e-6, atol=1e-6)


def test_weights_that_are_loaded_for_each_use_are_told_from_spread_ones(
    make_tiny: MakeTiny,
) -> None:
    split = spread_layers(make_tiny(tie_word_embeddings=False), 2)
    assert not keeps_weights_away(split.base())
    split.base().hf_device_map = {"model": "cuda:0", "lm_head": "cpu"}
    assert keeps_weights_away(split.base())
    split.base().hf_device_map = {"": "cpu"}
    assert not keeps_weights_away(split.base())
