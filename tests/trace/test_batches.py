from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.trace.batches import map_batches, plan_batches


def test_batches_by_hand() -> None:
    """Longest first; 7+1 -> two rows of 16, 5+1 -> two, 2+1 -> the one that is left; ties keep
    their order.
    """
    batches = plan_batches([5, 2, 7, 5, 7], tokens_per_forward=16, overhead=1)
    assert [batch.tolist() for batch in batches] == [[2, 4], [0, 3], [1]]


def test_a_row_larger_than_the_budget_stands_alone() -> None:
    assert [batch.tolist() for batch in plan_batches([3, 100, 3], tokens_per_forward=6)] == [
        [1],
        [0, 2],
    ]


def test_no_rows_give_no_batches() -> None:
    assert plan_batches([], tokens_per_forward=5) == []


@given(
    lengths=st.lists(st.integers(1, 60), max_size=50),
    budget=st.integers(1, 400),
    overhead=st.integers(0, 40),
)
def test_every_row_once_within_the_budget_and_the_same_every_time(
    lengths: list[int], budget: int, overhead: int
) -> None:
    batches = plan_batches(lengths, budget, overhead)
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    widths = [max(lengths[row] for row in batch) for batch in batches]
    for batch, width in zip(batches, widths, strict=True):
        assert len(batch) == 1 or len(batch) * (width + overhead) <= budget
    for batch, width in zip(batches[:-1], widths[:-1], strict=True):
        assert (len(batch) + 1) * (width + overhead) > budget
    assert widths == sorted(widths, reverse=True)
    again = plan_batches(np.asarray(lengths, dtype=np.int64).tolist(), budget, overhead)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in batches]


@pytest.mark.parametrize("budget", [0, -4])
def test_a_budget_must_be_positive(budget: int) -> None:
    with pytest.raises(WorkbenchError, match=f"must be positive, it is {budget}"):
        plan_batches([1], budget)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=50),
    budget=st.integers(1, 400),
    overhead=st.integers(0, 40),
)
def test_what_is_computed_of_rows_comes_back_in_their_order(
    lengths: list[int], budget: int, overhead: int
) -> None:
    """Of every kind; the batches computed are the planned ones."""
    rows = np.arange(len(lengths))
    seen: list[list[int]] = []

    def tensors(batch: np.ndarray) -> tuple[torch.Tensor, ...]:
        seen.append(batch.tolist())
        return torch.as_tensor(batch), torch.as_tensor(batch)[:, None] * torch.ones(1, 3)

    one, three = map_batches(lengths, budget, tensors, overhead)
    assert seen == [batch.tolist() for batch in plan_batches(lengths, budget, overhead)]
    assert one.tolist() == rows.tolist()
    assert three.tolist() == [[row] * 3 for row in rows]
    alone = map_batches(lengths, budget, lambda batch: torch.as_tensor(batch) + 1)
    assert alone.tolist() == (rows + 1).tolist()
    numbers = map_batches(lengths, budget, lambda batch: batch / 2)
    assert (numbers == rows / 2).all()
    texts = map_batches(lengths, budget, lambda batch: [str(row) for row in batch])
    assert texts == [str(row) for row in rows]
