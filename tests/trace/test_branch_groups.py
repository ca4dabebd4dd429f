from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.trace.branch_groups import TAIL_COLUMNS, plan_groups, tail_room

BRANCHES = st.lists(st.tuples(st.integers(1, 40), st.integers(-1, 30)), min_size=1, max_size=60)


@given(branches=BRANCHES, first_room=st.integers(-5, 100), room=st.integers(1, 100))
def test_every_branch_is_planned_once_within_its_room_and_by_first_layer(
    branches: list[tuple[int, int]], first_room: int, room: int
) -> None:
    sizes, first_layers = (
        [size for size, _ in branches],
        [first_layer for _, first_layer in branches],
    )
    groups = plan_groups(sizes, first_layers, first_room, room)
    assert sorted(branch for group in groups for branch in group) == list(range(len(branches)))
    assert sum(sizes[branch] for branch in groups[0]) <= max(first_room, 0)
    for group in groups[1:]:
        assert group
        assert sum(sizes[branch] for branch in group) <= room or len(group) == 1
    order = [first_layers[branch] for group in groups for branch in group]
    assert order == sorted(order)


@given(branches=BRANCHES, room=st.integers(1, 100))
def test_no_two_neighbouring_passes_could_be_one(
    branches: list[tuple[int, int]], room: int
) -> None:
    sizes, first_layers = (
        [size for size, _ in branches],
        [first_layer for _, first_layer in branches],
    )
    groups = plan_groups(sizes, first_layers, 0, room)[1:]
    for left, right in pairwise(groups):
        assert sum(sizes[branch] for branch in left) + sizes[right[0]] > room


def test_a_plan_by_hand() -> None:
    """Sorted by first layer: 2 (size 3), 0 (5), 1 (4), 3 (9); five columns beside the prompts, nine
    later.
    """
    assert plan_groups([5, 4, 3, 9], [1, 2, 0, 7], 5, 9) == [[2], [0, 1], [3]]
    assert plan_groups([5, 4, 3, 9], [1, 2, 0, 7], 0, 2) == [[], [2], [0], [1], [3]]


@pytest.mark.parametrize(
    ("budget", "columns", "wanted", "expected"),
    [
        (10_000, 100, 30, 30),
        (10_000, 100, 10_000, TAIL_COLUMNS),
        (150, 100, 300, 75),
        (110, 100, 300, 55),
        (1, 9, 9, 1),
    ],
)
def test_room_behind_a_prompt(budget: int, columns: int, wanted: int, expected: int) -> None:
    assert tail_room(budget, columns, wanted) == expected


def test_a_budget_is_positive() -> None:
    with pytest.raises(WorkbenchError, match="must be positive"):
        tail_room(0, 1, 1)
