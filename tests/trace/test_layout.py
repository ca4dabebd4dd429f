from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.trace.layout import (
    FIRST_LAYER,
    Prompts,
    Tail,
    empty_tail,
    join_prompts,
    pad_prompts,
    pad_right,
    without_last,
)

CPU = torch.device("cpu")


def tail_of(first_layer: tuple[int, ...], rows: int = 2) -> Tail:
    one = torch.zeros((rows, len(first_layer)), dtype=torch.long)
    return Tail(
        one, one, one, torch.eye(len(first_layer), dtype=torch.bool)[None], first_layer, one
    )


def test_prompts_are_padded_on_the_left() -> None:
    prompts = pad_prompts([[7, 8, 9], [5], [3, 4]], pad_token=1, device=CPU)
    assert prompts.tokens.tolist() == [[7, 8, 9], [1, 1, 5], [1, 3, 4]]
    assert prompts.valid.tolist() == [[True] * 3, [False, False, True], [False, True, True]]
    assert prompts.positions.tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]
    assert prompts.lengths.tolist() == [3, 1, 2]
    assert (prompts.rows, prompts.columns) == (3, 3)
    assert not prompts.causal
    assert pad_prompts([[7, 8], [5, 6]], pad_token=1, device=CPU).causal


def test_prompts_without_a_tail_are_padded_on_the_right() -> None:
    """Positions count on over the padding; a token's column is its index."""
    prompts = pad_right([[7, 8, 9], [5], [3, 4]], pad_token=1, device=CPU)
    assert prompts.tokens.tolist() == [[7, 8, 9], [5, 1, 1], [3, 4, 1]]
    assert prompts.valid.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    assert prompts.positions.tolist() == [[0, 1, 2]] * 3
    assert prompts.lengths.tolist() == [3, 1, 2]
    assert prompts.causal
    assert prompts.column_of(torch.tensor([2, 0, 1])).tolist() == [2, 0, 1]
    with pytest.raises(WorkbenchError, match="no prompt may be empty"):
        pad_right([[7], []], pad_token=1, device=CPU)


def test_a_pad_token_inside_a_prompt_is_a_token() -> None:
    prompts = pad_prompts([[0, 4, 0], [6]], pad_token=0, device=CPU)
    assert prompts.lengths.tolist() == [3, 1]
    assert prompts.positions.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_columns_count_from_each_rows_own_first_token() -> None:
    prompts = pad_prompts([[7, 8, 9], [5], [3, 4]], pad_token=1, device=CPU)
    assert prompts.column_of(torch.tensor([2, 0, 1])).tolist() == [2, 2, 2]
    assert prompts.column_of(torch.tensor([[0, 1], [0, 0], [0, 1]])).tolist() == [
        [0, 1],
        [2, 2],
        [1, 2],
    ]


@pytest.mark.parametrize("index", [[3, 0, 0], [0, 1, 0], [0, 0, -1]])
def test_a_position_outside_its_row_is_refused(index: list[int]) -> None:
    prompts = pad_prompts([[7, 8, 9], [5], [3, 4]], pad_token=1, device=CPU)
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        prompts.column_of(torch.tensor(index))


@pytest.mark.parametrize("sequences", [[], [[1], []]])
def test_empty_batches_and_prompts_are_refused(sequences: list[list[int]]) -> None:
    with pytest.raises(WorkbenchError, match="at least one prompt"):
        pad_prompts(sequences, 0, CPU)


def test_prompts_of_unequal_shapes_are_refused() -> None:
    square = torch.zeros((2, 2), dtype=torch.long)
    with pytest.raises(WorkbenchError, match="share one"):
        Prompts(square, square.bool(), square[:, :1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": torch.zeros((2, 1), dtype=torch.long)}, "share one"),
        ({"first_layer": (FIRST_LAYER,)}, "share one"),
        ({"attends_to": torch.ones((3, 2, 2), dtype=torch.bool)}, "visibility must be"),
        ({"attends_to": torch.ones((2, 2), dtype=torch.bool)}, "visibility must be"),
        ({"attends_to": torch.ones((1, 2, 2), dtype=torch.bool).triu(1)}, "see itself"),
        ({"first_layer": (2, 1)}, "ordered by their first layer"),
    ],
)
def test_a_tail_checks_itself(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        replace(tail_of((FIRST_LAYER, 0)), **change)


def test_an_empty_tail_has_no_tokens() -> None:
    tail = empty_tail(pad_prompts([[1, 2], [3]], 0, CPU))
    assert tail.size == 0
    assert tail.tokens.numel() == 0


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5),
    st.lists(st.integers(1, 9), max_size=4),
)
def test_prompts_grow_and_shrink_as_if_laid_out_anew(
    rows: list[list[int]], more: list[int]
) -> None:
    prompts = pad_prompts(rows, 0, CPU)
    rest = torch.tensor([more] * len(rows), dtype=torch.long)
    steps = torch.arange(len(more)).expand(len(rows), -1)
    grown = join_prompts(prompts, Prompts(rest, torch.ones_like(rest, dtype=torch.bool), steps))
    anew = pad_prompts([[*row, *more] for row in rows], 0, CPU)
    back = without_last(grown, len(more))
    for found, expected in ((grown, anew), (back, prompts)):
        assert found.tokens.tolist() == expected.tokens.tolist()
        assert found.valid.tolist() == expected.valid.tolist()
        assert found.positions.tolist() == expected.positions.tolist()
