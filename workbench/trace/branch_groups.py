"""Decide which branches share a forward pass.

Branches are sorted by the layer after which they are appended, and cut into groups whose columns
fit. The branches of a later pass are then all appended late, and that pass starts at the layer of
its earliest branch. A group holds at most TAIL_COLUMNS columns unless one branch alone is longer.
Within a pass every branch's attention is computed, and masked, against every other's. So the cost
of a group grows with its square, while one more group costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import WorkbenchError

TAIL_COLUMNS = 512


def tail_room(tokens_per_forward: int, columns: int, wanted: int) -> int:
    """Return the tail columns to plan for after prompts of ``columns`` when all branches take
    ``wanted``.

    Raises:
        WorkbenchError: if ``tokens_per_forward`` is below 1.
    """
    if tokens_per_forward < 1:
        raise WorkbenchError(f"The token budget must be positive, it is {tokens_per_forward}.")
    return max(
        1, min(wanted, TAIL_COLUMNS, max(tokens_per_forward - columns, tokens_per_forward // 2))
    )


def plan_groups(
    sizes: Sequence[int], first_layers: Sequence[int], first_room: int, room: int
) -> list[list[int]]:
    """Return the branches of each pass, ascending in the layer after which they are appended.

    Args:
        sizes: columns of each branch.
        first_layers: layer after which each branch's columns are appended.
        first_room: columns left in the pass that holds the prompts, which may take no branch at
            all.
        room: columns of the passes after it; a longer branch gets a pass of its own.
    """
    order = sorted(range(len(sizes)), key=lambda branch: (first_layers[branch], branch))
    groups: list[list[int]] = [[]]
    left = first_room
    for branch in order:
        if sizes[branch] > left and (groups[-1] or len(groups) == 1):
            groups.append([])
            left = room
        groups[-1].append(branch)
        left -= sizes[branch]
    return groups


def plan_joint_groups(
    sizes: Sequence[int], first_layers: Sequence[int], bases: int, columns_per_row: int
) -> list[list[int]]:
    """Return the branches of each pass where the first pass holds the prompts too; arguments are
    those of :func:`plan_groups`.

    Args:
        bases: columns of the prompts and of the nodes after them.
        columns_per_row: most columns of a pass.
    """
    room = tail_room(columns_per_row, bases, sum(sizes))
    return plan_groups(sizes, first_layers, min(room, columns_per_row - bases), room)


def plan_tail_groups(
    sizes: Sequence[int], first_layers: Sequence[int], columns: int, columns_per_row: int
) -> list[list[int]]:
    """Return the branches of each pass after one that held the prompts' rests of ``columns``
    alone; the other arguments are those of :func:`plan_joint_groups`.
    """
    room = tail_room(max(1, columns_per_row), columns, sum(sizes))
    return [group for group in plan_groups(sizes, first_layers, room, room) if group]
