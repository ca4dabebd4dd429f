from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.patch.branches import (
    head_sites,
    layer_sites,
    position_branches,
    site_branches,
    window_branches,
)
from workbench.trace import Patch, Site

AT = torch.tensor([4, 2])
DONORS = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)


def same(patch: Patch, site: Site, positions: list[int], value: torch.Tensor) -> bool:
    return (
        patch.site == site
        and patch.positions.tolist() == positions
        and torch.equal(patch.value, value)
    )


def test_one_branch_a_site() -> None:
    sites = layer_sites([0, 2, 5], "mlp_out")
    branches = site_branches(sites, AT, DONORS, mode="add")
    assert [len(branch) for branch in branches] == [1, 1, 1]
    for i, (branch,) in enumerate(branches):
        assert same(branch, sites[i], [4, 2], DONORS[:, i])
        assert branch.mode == "add"


def test_a_number_is_patched_whole() -> None:
    donors = torch.arange(2 * 1 * 3 * 4.0).reshape(2, 1, 3, 4)
    (branch,) = site_branches([Site(1)], AT, donors, nodes=torch.tensor([[6, 7], [3, 4]]))
    assert [patch.positions.tolist() for patch in branch] == [[4, 2], [6, 3], [7, 4]]
    assert all(torch.equal(patch.value, donors[:, 0, k]) for k, patch in enumerate(branch))


def test_positions_run_within_a_site() -> None:
    sites, positions = layer_sites([1, 3]), torch.tensor([[0, 1, 2], [5, 6, 7]])
    donors = torch.randn((2, 2, 3, 4))
    branches = position_branches(sites, positions, donors)
    assert len(branches) == 6
    assert same(branches[4][0], Site(3), [1, 6], donors[:, 1, 1])


def test_windows_slide_by_one() -> None:
    branches = window_branches(layer_sites([0, 1, 2]), 2, AT, DONORS)
    assert [[patch.site.layer for patch in branch] for branch in branches] == [[0, 1], [1, 2]]
    assert torch.equal(branches[1][1].value, DONORS[:, 2])
    with pytest.raises(WorkbenchError, match="spans 1 to 3 of the sites given, not 4"):
        window_branches(layer_sites([0, 1, 2]), 4, AT, DONORS)


def test_heads_run_within_a_layer() -> None:
    sites = [(site.layer, site.head) for site in head_sites([1, 4], [0, 3])]
    assert sites == [(1, 0), (1, 3), (4, 0), (4, 3)]


@pytest.mark.parametrize("shape", [(2, 2, 4), (3, 3, 4), (2, 3, 2, 4), (2, 3)])
def test_donors_of_another_layout_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="record them at the same sites and positions"):
        site_branches(layer_sites([0, 1, 2]), AT, torch.zeros(shape))
