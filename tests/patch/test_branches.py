from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from workbench.elicit.trie import build_trie
from workbench.errors import WorkbenchError
from workbench.patch.branches import Branches, layer_branches
from workbench.trace.layout import FROM_START, pad_prompts
from workbench.trace.masks import visibility

ROWS = [[5, 6, 7, 8], [20, 21]]
TRIE = build_trie([(1,), (1, 0), (2,)], [1, 10, 2])
WIDTH = 3


def branches_at(starts: Sequence[int], layers: Sequence[int]) -> Branches:
    prompts = pad_prompts(ROWS, 0, torch.device("cpu"))
    donors = torch.arange(2.0 * len(layers) * WIDTH).reshape(2, len(layers), 1, WIDTH)
    return layer_branches(prompts, TRIE, torch.tensor(starts), layers, donors)


def test_a_layout_by_hand() -> None:
    """Columns: prompt 0-3, unpatched node 4, branch of layer 1: 5-7 (two tokens, node), branch of layer 3: 8-10."""
    branches = branches_at([2, 3], [1, 3])
    tail = branches.tail
    assert tail.tokens.tolist() == [[1, 7, 8, 1, 7, 8, 1], [1, 20, 21, 1, 20, 21, 1]]
    assert tail.positions.tolist() == [[4, 2, 3, 4, 2, 3, 4], [2, 0, 1, 2, 0, 1, 2]]
    assert tail.prefix_end.tolist() == [[4, 2, 2, 2, 2, 2, 2], [4, 3, 3, 3, 3, 3, 3]]
    assert tail.birth == (FROM_START, 1, 1, 1, 3, 3, 3)
    assert tail.twin[:, 1:].tolist() == [[2, 3, 4, 2, 3, 4]] * 2
    assert branches.read.tolist() == [[[3, 4], [6, 7], [9, 10]]] * 2
    assert [write.layer for write in branches.writes] == [1, 3]
    assert [write.column.tolist() for write in branches.writes] == [[[5], [6]], [[8], [9]]]
    assert [write.value.tolist() for write in branches.writes] == [
        [[[0, 1, 2]], [[6, 7, 8]]],
        [[[3, 4, 5]], [[9, 10, 11]]],
    ]


def test_what_each_branch_sees_by_hand() -> None:
    """Row 0 is patched one token before the end, row 1 at its last token, whose surplus column is seen by nobody."""
    prompts = pad_prompts(ROWS, 0, torch.device("cpu"))
    see = visibility(prompts, branches_at([2, 3], [1, 3]).tail)
    seen = [[torch.nonzero(see[row, query])[:, 0].tolist() for query in range(4, 11)] for row in range(2)]
    assert seen[0] == [
        [0, 1, 2, 3, 4],
        [0, 1, 5],
        [0, 1, 5, 6],
        [0, 1, 5, 6, 7],
        [0, 1, 8],
        [0, 1, 8, 9],
        [0, 1, 8, 9, 10],
    ]
    assert seen[1] == [[2, 3, 4], [2, 5], [2, 6], [2, 6, 7], [2, 8], [2, 9], [2, 9, 10]]


def test_patching_the_last_token_copies_it_alone() -> None:
    tail = branches_at([3, 3], [0]).tail
    assert tail.tokens.tolist() == [[1, 8, 1], [1, 21, 1]]
    assert tail.birth == (FROM_START, 0, 0)


@pytest.mark.parametrize("layers", [[2, 1], [1, 1], [0, 2, 1]])
def test_layers_ascend(layers: list[int]) -> None:
    with pytest.raises(WorkbenchError, match="must ascend without repetition"):
        branches_at([3, 3], layers)


@pytest.mark.parametrize("starts", [[3, 1], [4, 3]])
def test_padding_and_columns_behind_the_prompt_cannot_be_patched(starts: list[int]) -> None:
    with pytest.raises(WorkbenchError, match="padding or lies outside"):
        branches_at(starts, [0])
