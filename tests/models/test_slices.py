from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.models import LanguageModel
from workbench.models.slices import Slices, slice_width, slices_of

MakeTiny = Callable[..., LanguageModel]


def test_slices_by_hand() -> None:
    """Three numbers for each of two heads, one of queries, keys and values after another."""
    states = torch.arange(12.0)
    touching = Slices(3, 4, 12)
    assert touching.split(states).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    joined = Slices(2, 2, 12, start=2, stride=6)
    assert joined.split(states).tolist() == [[2, 3], [8, 9]]
    assert [joined.first(index) for index in range(2)] == [2, 8]
    assert joined.mask(states).nonzero()[:, 0].tolist() == [2, 3, 8, 9]
    assert touching.mask(states) is states


@pytest.mark.parametrize(
    ("family", "component", "expected"),
    [
        ("llama", "resid_post", None),
        ("llama", "head_out", Slices(4, 8, 32)),
        ("llama", "query", Slices(4, 8, 32)),
        ("llama", "key", Slices(2, 8, 16)),
        ("llama", "neuron", Slices(64, 1, 64)),
        ("phi3", "value", Slices(2, 8, 64, start=48)),
        ("gpt2", "key", Slices(4, 8, 96, start=32)),
        ("gpt_neox", "value", Slices(4, 8, 96, start=16, stride=24)),
    ],
)
def test_families_keep_their_slices_where_the_row_says(
    make_tiny: MakeTiny, family: str, component: str, expected: Slices | None
) -> None:
    assert slices_of(make_tiny(family), component) == expected


def test_a_span_is_as_wide_as_its_slices(make_tiny: MakeTiny) -> None:
    lm = make_tiny("llama")
    assert [slice_width(lm, name, 3) for name in ("neuron", "resid_mid")] == [3, 32]
