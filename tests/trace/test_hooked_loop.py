from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch

from tests.support.uneven_rows import LENGTHS, ROWS, TREE, some_logits
from workbench.models import LanguageModel
from workbench.trace import (
    Branch,
    Patch,
    Site,
    hooked_loop,
    loop_branches,
)

MakeTiny = Callable[..., LanguageModel]


def number_branches() -> list[Branch]:
    """A token, a node, and both; node 1 stands behind node 0."""
    value = torch.randn((3, 32), generator=torch.Generator().manual_seed(1))
    end, node = Patch(Site(1), LENGTHS - 1, value), Patch(Site(2, "mlp_out"), LENGTHS + 1, value)
    return [[end], [node], [end, node], [Patch(Site(1), LENGTHS, value, "add")]]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "cohere2"])
def test_strings_and_padded_batches_agree(
    make_tiny: MakeTiny,
    every_branch: Callable[..., list[Branch]],
    family: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way recurrent families go gives what attention families get on padded batches with
    nodes.
    """
    lm = make_tiny(family)
    branches = [*every_branch(lm), *number_branches()]
    padded = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=30, tree=TREE)
    monkeypatch.setattr(hooked_loop, "_padded", hooked_loop._as_strings)
    plain = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=30, tree=TREE)
    torch.testing.assert_close(plain.base, padded.base, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.patched, padded.patched, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_recurrent_families_run_without_padding_and_say_so_once(
    make_tiny: MakeTiny, family: str
) -> None:
    """The first row alone gives its numbers in the batch, and a patch at a node reaches that
    node's paths only.
    """
    lm = make_tiny(family)
    branches = number_branches()
    with pytest.warns(UserWarning, match=f"{family} is patched by one forward a branch.*recurrent"):
        found = loop_branches(lm, ROWS, branches, some_logits, tokens_per_forward=100, tree=TREE)
    alone = [
        [Patch(p.site, p.positions[:1], p.value[:1], p.mode) for p in branch] for branch in branches
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = loop_branches(lm, ROWS[:1], alone, some_logits, tokens_per_forward=100, tree=TREE)
    torch.testing.assert_close(found.patched[:1], first.patched, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.base[:1], first.base, rtol=1e-4, atol=1e-5)
    moved = (found.patched - found.base[:, None]).abs().amax(dim=(0, 3))
    assert (moved[1, [0, 1, 3]] == 0).all()
    assert moved[1, 2] > 1e-3
    assert (moved[3] > 1e-3).tolist() == [False, True, True, False]


def test_a_recurrent_family_without_a_continuation(make_tiny: MakeTiny) -> None:
    lm = make_tiny("falcon_h1")
    with pytest.warns(UserWarning, match="falcon_h1"):
        found = loop_branches(lm, ROWS, number_branches()[:1], some_logits, tokens_per_forward=100)
    assert found.base.shape == (3, 50)
    with torch.no_grad():
        own = lm.base()(input_ids=torch.tensor(ROWS[1:2])).logits[:, -1, :50]
    torch.testing.assert_close(found.base[1:2], own, rtol=1e-4, atol=1e-5)
