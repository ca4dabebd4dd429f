from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.support.tiny_models import WRITTEN_OUT
from workbench.models import LanguageModel
from workbench.trace.backends import HooksBackend
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", WRITTEN_OUT)
@pytest.mark.parametrize(("looped", "tokens_per_forward"), [(False, 40), (False, 8192), (True, 99)])
def test_same_sites_same_answers(
    make_tiny: MakeTiny,
    agree: Callable[..., None],
    family: str,
    looped: bool,
    tokens_per_forward: int,
) -> None:
    lm = make_tiny(family)
    agree(HooksBackend(lm, looped), lm, tokens_per_forward)


def test_a_window_shorter_than_the_prompts(make_tiny: MakeTiny, agree: Callable[..., None]) -> None:
    lm = make_tiny("gemma2", sliding_window=4)
    agree(HooksBackend(lm), lm)


def test_positions_may_be_a_tensor(tiny_lm: LanguageModel) -> None:
    backend, prompts = HooksBackend(tiny_lm), [[5, 6, 7], [8, 9]]
    states = backend.record(prompts, torch.tensor([[2], [0]]), [Site(1)])
    assert states.equal(backend.record(prompts, [[2], [0]], [Site(1)]))


def test_a_stream_written_twice_keeps_what_a_forward_comes_upon_last(
    tiny_lm: LanguageModel,
) -> None:
    """The stream behind a layer and before the next is one tensor; the order of the patches does
    not matter.
    """
    at, after, before = torch.tensor([1]), torch.ones(1, 32), torch.full((1, 32), 2.0)
    first, second = Patch(Site(1), at, after), Patch(Site(2, "resid_pre"), at, before)
    found = HooksBackend(tiny_lm).patch(
        [[5, 6, 7]],
        [[first, second], [second, first], [second]],
        lambda logits: logits,
        tokens_per_forward=100,
    )
    torch.testing.assert_close(found.patched[:, 0], found.patched[:, 2])
    torch.testing.assert_close(found.patched[:, 1], found.patched[:, 2])
