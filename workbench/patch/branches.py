"""Hold the cells of maps and make their branches: a cell is some sites at some places, written
together, and one branch.

All branches patch tokens named by row and take donors whose first axis is the row, in the order the
states were recorded in, so that what :func:`workbench.trace.record` returns for the same sites and
positions fits as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Component, Site
from workbench.trace.subspace import Subspace

Mode = Literal["replace", "add"]
Place = TypeVar("Place")


@dataclass(frozen=True)
class Cell(Generic[Place]):
    """A cell of a map: ``sites`` patched together at ``places``. Heads are patched only among
    themselves.

    A place is a column of the patched positions, or a named part of a conversation.
    """

    sites: tuple[Site, ...]
    places: tuple[Place, ...]


def single_cells(sites: Sequence[Site], places: Sequence[Place]) -> list[Cell[Place]]:
    """Return every site at every place, all places of the first site first."""
    return [Cell((site,), (place,)) for site in sites for place in places]


def sites_of(cells: Sequence[Cell[Place]]) -> list[Site]:
    """Return the sites of all cells, each once, in the order of their first appearance."""
    return list(dict.fromkeys(site for cell in cells for site in cell.sites))


def cell_branches(
    cells: Sequence[Cell[int]],
    positions: Tensor,
    donors: Tensor,
    *,
    mode: Mode = "replace",
    subspaces: Mapping[int, Subspace] | None = None,
) -> list[Branch]:
    """Return one branch per cell.

    Args:
        positions: [rows, places] tokens patched in each row.
        donors: [rows, sites, places, width] states to write, of :func:`sites_of` the cells.
        subspaces: by layer, the subspaces within which alone states are replaced, or added to.
    """
    sites = sites_of(cells)
    _require(donors, (len(positions), len(sites), positions.shape[1]), "sites, positions")
    return [
        tuple(
            make_patch(
                site, positions[:, place], donors[:, sites.index(site), place], mode, subspaces
            )
            for site in cell.sites
            for place in cell.places
        )
        for cell in cells
    ]


def make_patch(
    site: Site,
    positions: Tensor,
    value: Tensor,
    mode: Mode,
    subspaces: Mapping[int, Subspace] | None,
) -> Patch:
    """Return the patch that writes or adds ``value``; with ``subspaces`` by layer, its projection
    onto that of the site's layer alone.
    """
    if subspaces is None:
        return Patch(site, positions, value, mode)
    kept = 1.0 if mode == "add" else 0.0
    return Patch(site, positions, value, "within", subspaces[site.layer], kept)


def site_branches(
    sites: Sequence[Site],
    positions: Tensor,
    donors: Tensor,
    *,
    mode: Mode = "replace",
    nodes: Tensor | None = None,
    subspaces: Mapping[int, Subspace] | None = None,
) -> list[Branch]:
    """Return one branch per site.

    Args:
        positions: [rows] token patched in each row.
        donors: [rows, sites, width] states to write, or [rows, sites, 1 + nodes, width] together
            with ``nodes``.
        nodes: [rows, nodes] further positions patched in the same branch, such as the tokens of a
            number.
        subspaces: by layer, as :func:`cell_branches` takes them.
    """
    where = positions[:, None] if nodes is None else torch.cat([positions[:, None], nodes], dim=1)
    states = donors[:, :, None] if donors.dim() == 3 else donors
    together = tuple(range(where.shape[1]))
    cells = [Cell((site,), together) for site in sites]
    return cell_branches(cells, where, states, mode=mode, subspaces=subspaces)


def position_branches(
    sites: Sequence[Site], positions: Tensor, donors: Tensor, *, mode: Mode = "replace"
) -> list[Branch]:
    """Return one branch per site and position, all positions of the first site first.

    Args:
        positions: [rows, positions].
        donors: [rows, sites, positions, width].
    """
    cells = single_cells(sites, range(positions.shape[1]))
    return cell_branches(cells, positions, donors, mode=mode)


def layer_sites(layers: Sequence[int], component: Component = "resid_post") -> list[Site]:
    """Return one component of each layer."""
    return [Site(layer, component) for layer in layers]


def head_sites(layers: Sequence[int], heads: Sequence[int]) -> list[Site]:
    """Return every named head of every layer, all heads of the first layer first."""
    return [Site(layer, "head_out", head) for layer in layers for head in heads]


def _require(donors: Tensor, shape: tuple[int, ...], names: str) -> None:
    if donors.dim() != len(shape) + 1 or tuple(donors.shape[:-1]) != shape:
        raise WorkbenchError(
            f"Donors must be [rows, {names}, width] = {(*shape, 'width')}, got "
            f"{tuple(donors.shape)}; record them at the "
            "same sites and positions that are patched."
        )
