from __future__ import annotations

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.patch.branches import (
    Cell,
    cell_branches,
    head_sites,
    layer_sites,
    position_branches,
    site_branches,
    sites_of,
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


def test_a_cell_writes_every_site_at_every_place_together() -> None:
    cell = Cell((Site(1), Site(2)), (0, 2))
    other = Cell((Site(2), Site(0)), (1,))
    assert sites_of([cell, other]) == [Site(1), Site(2), Site(0)]
    positions = torch.tensor([[0, 1, 2], [5, 6, 7]])
    donors = torch.randn((2, 3, 3, 4))
    first, second = cell_branches([cell, other], positions, donors)
    expected = [(Site(1), 0, 0), (Site(1), 0, 2), (Site(2), 1, 0), (Site(2), 1, 2)]
    for patch, (site, index, place) in zip(first, expected, strict=True):
        assert same(patch, site, positions[:, place].tolist(), donors[:, index, place])
    assert [(patch.site, patch.positions.tolist()) for patch in second] == [
        (Site(2), [1, 6]),
        (Site(0), [1, 6]),
    ]


def test_heads_run_within_a_layer() -> None:
    sites = [(site.layer, site.index) for site in head_sites([1, 4], [0, 3])]
    assert sites == [(1, 0), (1, 3), (4, 0), (4, 3)]


@pytest.mark.parametrize("shape", [(2, 2, 4), (3, 3, 4), (2, 3, 2, 4), (2, 3)])
def test_donors_of_another_layout_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="record them at the same sites and positions"):
        site_branches(layer_sites([0, 1, 2]), AT, torch.zeros(shape))
