from __future__ import annotations

import torch

from workbench.models import LanguageModel
from workbench.teach.batch_layout import conversation_columns, trees
from workbench.teach.examples import Example, TokenTarget
from workbench.trace.layout import pad_prompts
from workbench.trace.token_tree import TokenTree

SURE = TokenTarget(1.0, (3,), (1.0,))


def example(*prompt: int, tree: TokenTree | None = None) -> Example:
    tree = tree or TokenTree()
    return Example(prompt, tree, (SURE,) * (1 + tree.size))


def test_trees_stand_behind_a_chain_and_see_their_own_ancestors() -> None:
    prompts = pad_prompts([[5, 6, 7], [8]], 0, torch.device("cpu"))
    tail = trees(prompts, (3, 4), [TokenTree((11, 12, 13), (-1, 0, 0)), TokenTree((14,), (-1,))])
    assert tail.tokens.tolist() == [[3, 4, 11, 12, 13], [3, 4, 14, 0, 0]]
    assert tail.positions[0].tolist() == [3, 4, 5, 6, 6]
    assert tail.positions[1, :3].tolist() == [1, 2, 3]
    assert tail.attends_to[0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 1],
    ]
    assert tail.attends_to[1, :3, :3].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert not tail.attends_to[1, :3, 3:].any()


def test_columns_by_hand(tiny_lm: LanguageModel) -> None:
    """Two prompts behind four shared tokens, the second with a tree of one node."""
    rows = [example(1, 2, 3, 4, 5, 6), example(1, 2, 3, 4, 7, tree=TokenTree((9,), (-1,)))]
    columns = conversation_columns(tiny_lm, rows, 4)
    assert columns.tokens[:, :2].tolist() == [[5, 6], [tiny_lm.tokenizer.pad_token_id, 7]]
    assert columns.tokens[1].tolist()[2] == 9
    assert columns.positions.tolist() == [[4, 5, 6], [4, 4, 5]]
    assert (columns.begins, columns.places) == ((0, 1), 2)
    sees = (columns.mask[:, 0] == 0).int().tolist()
    assert sees[0][:2] == [[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 0]]
    assert sees[1][1:] == [[1, 1, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 1, 1]]
