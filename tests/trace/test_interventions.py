from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

AT = torch.tensor([3, 1])


def test_a_patch_keeps_what_it_is_given() -> None:
    value = torch.arange(8.0).reshape(2, 4)
    patch = Patch(Site(1), AT, value)
    assert patch.mode == "replace"
    assert patch.value is value
    assert Patch(Site(1), AT, value.bfloat16(), "add").mode == "add"


@pytest.mark.parametrize(
    ("positions", "value"),
    [
        (AT, torch.zeros((3, 4))),
        (AT, torch.zeros(2)),
        (AT, torch.zeros((2, 1, 4))),
        (AT[:, None], torch.zeros((2, 4))),
    ],
)
def test_positions_and_values_have_one_row_each(
    positions: torch.Tensor, value: torch.Tensor
) -> None:
    with pytest.raises(WorkbenchError, match=r"values \[rows, width\] of the same rows"):
        Patch(Site(1), positions, value)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_state_that_is_no_number_is_refused_where_it_stands(wrong: float) -> None:
    value = torch.zeros((2, 4))
    value[1, 2] = wrong
    with pytest.raises(WorkbenchError, match=r"layer=2.*NaN or infinite"):
        Patch(Site(2), AT, value)


def test_an_unknown_mode_is_refused() -> None:
    mode: Any = "scale"
    with pytest.raises(WorkbenchError, match="'scale' is neither"):
        Patch(Site(1), AT, torch.zeros((2, 4)), mode)
