from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from workbench.trace.branches import (
    BranchColumns,
    branch_columns,
    first_layer_of,
    join_tails,
    lay_out,
)
from workbench.trace.interventions import Patch
from workbench.trace.layout import FIRST_LAYER, Prompts, pad_prompts
from workbench.trace.masks import tail_visibility, visibility
from workbench.trace.sites import Component, Site
from workbench.trace.token_tree import TokenTree, tree_tail

ROWS = [[5, 6, 7, 8], [20, 21]]
NODE = TokenTree((1,), (-1,))
WIDTH = 3


def placed(
    positions: Sequence[Sequence[int]], sites: Sequence[Site]
) -> tuple[Prompts, BranchColumns]:
    """One patch a branch at ``positions`` [branches][rows]; values count up."""
    prompts = pad_prompts(ROWS, 0, torch.device("cpu"))
    values = torch.arange(2.0 * len(sites) * WIDTH).reshape(len(sites), 2, WIDTH)
    branches = [
        [Patch(s, torch.tensor(p), v)] for s, p, v in zip(sites, positions, values, strict=True)
    ]
    return prompts, branch_columns(prompts, branches, torch.tensor(positions).T, torch.arange(2))


@pytest.mark.parametrize(
    ("component", "first_layer"),
    [
        ("resid_post", 2),
        ("resid_pre", 1),
        ("attn_out", 1),
        ("resid_mid", 1),
        ("mlp_out", 1),
        ("head_out", 1),
    ],
)
def test_a_branch_exists_where_its_first_patch_is(component: Component, first_layer: int) -> None:
    head = 0 if component == "head_out" else None
    assert first_layer_of(Site(2, component, head)) == first_layer
    assert first_layer_of(Site(0, component, head)) == first_layer - 2


def test_a_layout_by_hand() -> None:
    """Base columns: prompt 0-3, node 4. Behind them branch 0: 5-7 (two tokens, node), branch 1:
    8-10.
    """
    prompts, where = placed([[2, 1], [2, 1]], [Site(1), Site(3)])
    layout = lay_out(prompts, NODE, where, [0, 1], offset=5)
    tail = join_tails(tree_tail(prompts, NODE), layout.tail)
    assert tail.tokens.tolist() == [[1, 7, 8, 1, 7, 8, 1], [1, 20, 21, 1, 20, 21, 1]]
    assert tail.positions.tolist() == [[4, 2, 3, 4, 2, 3, 4], [2, 0, 1, 2, 0, 1, 2]]
    assert tail.prefix_end.tolist() == [[4, 2, 2, 2, 2, 2, 2], [4, 3, 3, 3, 3, 3, 3]]
    assert tail.first_layer == (FIRST_LAYER, 1, 1, 1, 3, 3, 3)
    assert layout.tail.source_column.tolist() == [[2, 3, 4, 2, 3, 4]] * 2
    assert layout.read.tolist() == [[[6, 7], [9, 10]]] * 2
    assert [write.layer for write in layout.writes] == [1, 3]
    assert [write.columns.tolist() for write in layout.writes] == [[[5], [6]], [[8], [9]]]
    assert [write.value.tolist() for write in layout.writes] == [
        [[[0, 1, 2]], [[3, 4, 5]]],
        [[[6, 7, 8]], [[9, 10, 11]]],
    ]


def test_what_each_branch_sees_by_hand() -> None:
    """Row 0 is patched one token before the end, row 1 at its last token, whose surplus column
    is seen by nobody.
    """
    prompts, where = placed([[2, 1], [2, 1]], [Site(1), Site(3)])
    tail = join_tails(
        tree_tail(prompts, NODE), lay_out(prompts, NODE, where, [0, 1], offset=5).tail
    )
    see = visibility(prompts, tail)
    seen = [
        [torch.nonzero(see[row, query])[:, 0].tolist() for query in range(4, 11)]
        for row in range(2)
    ]
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
    assert torch.equal(tail_visibility(prompts, tail), see[:, 4:])


def test_branches_of_different_length_alone() -> None:
    """Only branch 1, patched at the last token, then branch 0, patched at each row's first;
    columns count from the tail.
    """
    prompts, where = placed([[0, 0], [3, 1]], [Site(2), Site(1)])
    layout = lay_out(prompts, NODE, where, [1, 0], offset=0)
    assert where.first().tolist() == [0, 3]
    assert layout.tail.tokens[0].tolist() == [8, 1, 5, 6, 7, 8, 1]
    assert layout.tail.first_layer == (1, 1, 2, 2, 2, 2, 2)
    assert layout.read[0].tolist() == [[0, 1], [5, 6]]
    assert [(write.layer, write.columns.tolist()) for write in layout.writes] == [
        (1, [[0], [0]]),
        (2, [[2], [4]]),
    ]


def test_a_node_is_patched_in_a_branch_of_the_last_token() -> None:
    prompts, where = placed([[4, 2]], [Site(0)])
    layout = lay_out(prompts, NODE, where, [0], offset=0)
    assert where.starts.tolist() == [[3], [3]]
    assert layout.tail.tokens.tolist() == [[8, 1], [21, 1]]
    assert layout.writes[0].columns.tolist() == [[1], [1]]


def test_patches_of_one_place_are_one_write_a_turn() -> None:
    """Two branches with two patches each behind layer 1, the second adding: two writes of two
    entries, in that order.
    """
    prompts = pad_prompts(ROWS, 0, torch.device("cpu"))
    end, value = torch.tensor([3, 1]), torch.ones((2, WIDTH))
    branches = [[Patch(Site(1), end, value), Patch(Site(2, "resid_pre"), end, value, "add")]] * 2
    where = branch_columns(prompts, branches, end[:, None].expand(2, 4), torch.arange(2))
    writes = lay_out(prompts, NODE, where, [0, 1], offset=0).writes
    assert [(write.layer, write.component, write.add) for write in writes] == [
        (1, "resid_post", False),
        (1, "resid_post", True),
    ]
    assert [write.columns.tolist() for write in writes] == [[[0, 2]] * 2] * 2


def test_a_batch_takes_its_own_rows_of_the_values() -> None:
    prompts = pad_prompts(ROWS[1:], 0, torch.device("cpu"))
    branch = [Patch(Site(1), torch.tensor([3, 1]), torch.tensor([[1.0], [2.0]]))]
    where = branch_columns(prompts, [branch], torch.tensor([[1]]), torch.tensor([1]))
    assert lay_out(prompts, NODE, where, [0], offset=0).writes[0].value.tolist() == [[[2.0]]]
