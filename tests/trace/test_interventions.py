from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace

AT = torch.tensor([3, 1])
PLANE = Subspace(torch.eye(4)[:, :2])


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
    with pytest.raises(
        WorkbenchError, match="replace, add, within, without, computed, not 'scale'"
    ):
        Patch(Site(1), AT, torch.zeros((2, 4)), mode)


def test_a_patch_that_writes_nothing_has_zeros_of_its_subspace() -> None:
    for kind in ({"mode": "without"}, {"mode": "within", "factor": 2.0}):
        patch = Patch(Site(1), AT, subspace=PLANE, **kind)  # type: ignore[arg-type]
        assert torch.equal(patch.value, torch.zeros(2, 4))


VALUE = torch.zeros((2, 4))
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"value": VALUE, "mode": "within"}, "'within' a subspace needs one"),
    ({"mode": "without"}, "'without' a subspace needs one"),
    ({"value": VALUE, "subspace": PLANE}, "'within' or 'without' it, not by 'replace'"),
    ({"value": VALUE, "mode": "add", "subspace": PLANE}, "not by 'add'"),
    ({"mode": "within", "subspace": PLANE}, "needs a value or a factor.*use the mode 'without'"),
    ({"mode": "without", "subspace": PLANE, "factor": 2.0}, "factor 2.0 scales.*is 'without'"),
    ({"value": VALUE, "factor": 2.0}, "factor 2.0 scales a projection 'within'"),
    ({"mode": "within", "subspace": PLANE, "factor": float("nan")}, "finite number"),
    (
        {"value": torch.zeros((2, 5)), "mode": "within", "subspace": PLANE},
        "is 5 wide, the basis of its subspace 4",
    ),
    ({}, r"values \[rows, width\] of the same rows"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_a_subspace_and_its_mode_belong_together(given: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkbenchError, match=said) as raised:
        Patch(Site(1), AT, **given)
    assert str(raised.value).count(". ") == 0
