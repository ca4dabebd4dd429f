from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.trace.layout import FIRST_LAYER, pad_prompts
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail

TREE = TokenTree((1, 2, 0), (-1, -1, 0))


def test_the_tail_holds_the_nodes_behind_each_prompt() -> None:
    prompts = pad_prompts([[5, 6, 7], [8]], 0, torch.device("cpu"))
    tail = tree_tail(prompts, TREE)
    assert tail.tokens.tolist() == [[1, 2, 0]] * 2
    assert tail.positions.tolist() == [[3, 3, 4], [1, 1, 2]]
    assert tail.prefix_end.tolist() == [[3, 3, 3]] * 2
    assert tail.attends_to.int().tolist() == [[[1, 0, 0], [0, 1, 0], [1, 0, 1]]]
    assert tail.first_layer == (FIRST_LAYER,) * 3
    assert end_columns(prompts, TREE).tolist() == [[2, 3, 4, 5]] * 2


def test_paths_lead_from_the_end_of_the_prompt() -> None:
    assert [TREE.path(node) for node in range(-1, 3)] == [(), (0,), (1,), (0, 2)]
    assert TREE.depths() == (1, 1, 2)
    assert NO_TREE.size == 0
    assert NO_TREE.ancestry().shape == (0, 0)


@pytest.mark.parametrize("parents", [(-1,), (0, 0, 0), (-1, 1, 0), (-1, -2, 0)])
def test_a_node_needs_a_parent_before_it(parents: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="needs a parent"):
        TokenTree((1, 2, 0), parents)
