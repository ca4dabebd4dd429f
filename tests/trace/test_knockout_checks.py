"""Edges that a model lacks, or cannot do without, are refused before any forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import AttentionKnockout, patch_branches

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23]]


def never(*args: Any) -> None:
    raise AssertionError("a forward ran")


def cut(
    queries: Sequence[int], keys: Sequence[int], layers: Sequence[int], heads: Any = None
) -> AttentionKnockout:
    """In the first row; in the second the last token's edge to the first."""
    second = [[3] * len(queries), [0] * len(keys)]
    return AttentionKnockout(
        torch.tensor([list(queries), second[0]]),
        torch.tensor([list(keys), second[1]]),
        tuple(layers),
        heads,
    )


@pytest.mark.parametrize(
    ("branch", "words"),
    [
        ([cut([7], [0], [3, 4])], "Layer 4 does not exist; the model has layers 0 to 3"),
        ([cut([7], [0], [-1])], "Layer -1 does not exist"),
        ([cut([7], [0], [1], heads=[4])], "Head 4 does not exist"),
        ([cut([8], [0], [1])], "The query 8 of a knockout lies outside prompt 0"),
        ([cut([7], [-1], [1])], "The key -1 of a knockout lies outside prompt 0"),
        ([cut([2], [0, 1, 2], [1, 2])], "token 2 of prompt 0 nothing to attend to in layer 1"),
        ([cut([2], [0, 1], [2]), cut([2, 4], [2], [2, 3])], "nothing to attend to in layer 2"),
        ([cut([0], [0], [0])], "nothing to attend to in layer 0"),
        ([cut([2], [0, 2], [2]), cut([2], [1], [2], heads=[1])], "nothing to attend to"),
        ([AttentionKnockout(torch.ones(3, 1).long(), torch.zeros(3, 1).long(), (0,))], "3 prompts"),
    ],
)
def test_edges_that_do_not_fit_are_refused_before_a_forward(
    tiny_lm: LanguageModel, branch: Any, words: str
) -> None:
    tiny_lm.base().forward = never
    tiny_lm.decoder().forward = never
    with pytest.raises(WorkbenchError, match=words):
        patch_branches(tiny_lm, ROWS, [branch], lambda x: x, tokens_per_forward=1000)


def test_a_query_may_keep_one_key_alone(tiny_lm: LanguageModel) -> None:
    """Whatever it is, in different layers or by different heads."""
    branches = [
        [cut([2], [0, 1], [2]), cut([2], [2], [3])],
        [cut([2], [0, 1], [2], heads=[0]), cut([2], [2], [2], heads=[1])],
        [cut([7], [1, 2, 3, 4, 5, 6, 7], [1])],
    ]
    found = patch_branches(tiny_lm, ROWS, branches, lambda x: x[:, :9], tokens_per_forward=1000)
    assert bool(torch.isfinite(found.patched).all())


def test_a_window_leaves_fewer_keys(make_tiny: MakeTiny) -> None:
    lm = make_tiny("mistral", sliding_window=3)
    with pytest.raises(WorkbenchError, match="token 7 of prompt 0 nothing"):
        patch_branches(lm, ROWS, [[cut([7], [5, 6, 7], [0])]], lambda x: x, tokens_per_forward=1000)
