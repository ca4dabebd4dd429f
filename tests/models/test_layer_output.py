from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import hidden_of, with_hidden
from workbench.models.layer_output import hidden_argument, with_hidden_argument


def test_a_bare_tensor_is_not_indexed() -> None:
    hidden = torch.arange(12.0).reshape(2, 3, 2)
    assert hidden_of(hidden) is hidden
    new = hidden + 1
    assert with_hidden(hidden, new) is new


def test_a_tuple_keeps_its_other_elements() -> None:
    hidden, cache = torch.zeros(2, 3, 2), object()
    assert hidden_of((hidden, cache)) is hidden
    new = torch.ones(2, 3, 2)
    first, second = with_hidden((hidden, cache), new)
    assert first is new
    assert second is cache


@pytest.mark.parametrize(
    "output", [torch.zeros(3, 2), (torch.zeros(3, 2),), torch.zeros(1, 2, 3, 4)]
)
def test_other_than_three_dimensions_is_refused(output: object) -> None:
    with pytest.raises(WorkbenchError, match=r"expected \[batch, time, width\]"):
        hidden_of(output)


@pytest.mark.parametrize("output", [None, (), [], {"hidden": 1}, [None]])
def test_other_kinds_are_refused(output: object) -> None:
    with pytest.raises(WorkbenchError, match="not a tensor or a tuple"):
        hidden_of(output)


def test_a_replacement_must_fit() -> None:
    with pytest.raises(WorkbenchError, match="cannot replace"):
        with_hidden(torch.zeros(2, 3, 2), torch.zeros(1, 3, 2))


@pytest.mark.parametrize("by_name", [False, True])
def test_what_a_layer_is_given_is_read_and_replaced(by_name: bool) -> None:
    old, new, mask = torch.zeros(1, 2, 3), torch.ones(1, 2, 3), torch.ones(1)
    args = () if by_name else (old, mask)
    kwargs = {"hidden_states": old, "mask": mask} if by_name else {"more": 1}
    assert hidden_argument(args, kwargs) is old
    changed = with_hidden_argument(args, kwargs, new)
    assert hidden_argument(*changed) is new
    assert changed[0][1:] == args[1:]
    assert {**changed[1], "hidden_states": 0} == {**kwargs, "hidden_states": 0}


def test_a_list_stays_a_list() -> None:
    states, more = torch.zeros(1, 2, 3), object()
    assert hidden_of([states, more]) is states
    new = torch.ones(1, 2, 3)
    changed = with_hidden([states, more], new)
    assert isinstance(changed, list)
    assert changed[0] is new
    assert changed[1] is more


class NamedOutput(NamedTuple):
    states: torch.Tensor
    more: object


def test_a_named_tuple_keeps_its_names() -> None:
    states, more = torch.zeros(1, 2, 3), object()
    new = torch.ones(1, 2, 3)
    changed = with_hidden(NamedOutput(states, more), new)
    assert isinstance(changed, NamedOutput)
    assert changed.states is new
    assert changed.more is more
