"""Branches of the usual maps: one cell of a map is one branch.

All of them patch tokens named by row and take donors whose first axis is the row, in the order the
states were recorded in, so that what :func:`workbench.trace.record` returns for the same sites and
positions fits as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Component, Site

Mode = Literal["replace", "add"]


def site_branches(
    sites: Sequence[Site],
    positions: Tensor,
    donors: Tensor,
    *,
    mode: Mode = "replace",
    nodes: Tensor | None = None,
) -> list[Branch]:
    """One branch per site.

    Args:
        positions: [rows] token patched in each row.
        donors: [rows, sites, width] states to write, or [rows, sites, 1 + nodes, width] together
            with ``nodes``.
        nodes: [rows, nodes] further positions patched in the same branch, such as the tokens of a
            number.
    """
    where = positions[:, None] if nodes is None else torch.cat([positions[:, None], nodes], dim=1)
    states = donors[:, :, None] if donors.dim() == 3 else donors
    _require(states, (len(positions), len(sites), where.shape[1]), "sites, patched tokens")
    return [
        tuple(Patch(site, where[:, k], states[:, i, k], mode) for k in range(where.shape[1]))
        for i, site in enumerate(sites)
    ]


def position_branches(
    sites: Sequence[Site], positions: Tensor, donors: Tensor, *, mode: Mode = "replace"
) -> list[Branch]:
    """One branch per site and position, all positions of the first site first.

    Args:
        positions: [rows, positions].
        donors: [rows, sites, positions, width].
    """
    _require(donors, (*positions.shape[:1], len(sites), positions.shape[1]), "sites, positions")
    return [
        (Patch(site, positions[:, p], donors[:, i, p], mode),)
        for i, site in enumerate(sites)
        for p in range(positions.shape[1])
    ]


def window_branches(
    sites: Sequence[Site], size: int, positions: Tensor, donors: Tensor, *, mode: Mode = "replace"
) -> list[Branch]:
    """One branch per run of ``size`` neighbouring sites patched together: len(sites) - size + 1
    branches.

    Args:
        positions: [rows] token patched in each row.
        donors: [rows, sites, width].
    """
    _require(donors, (len(positions), len(sites)), "sites")
    if not 1 <= size <= len(sites):
        raise WorkbenchError(f"A window spans 1 to {len(sites)} of the sites given, not {size}.")
    patches = [Patch(site, positions, donors[:, i], mode) for i, site in enumerate(sites)]
    return [tuple(patches[start : start + size]) for start in range(len(sites) - size + 1)]


def layer_sites(layers: Sequence[int], component: Component = "resid_post") -> list[Site]:
    """One component of each layer."""
    return [Site(layer, component) for layer in layers]


def head_sites(layers: Sequence[int], heads: Sequence[int]) -> list[Site]:
    """Every named head of every layer, all heads of the first layer first."""
    return [Site(layer, "head_out", head) for layer in layers for head in heads]


def _require(donors: Tensor, shape: tuple[int, ...], names: str) -> None:
    if donors.dim() != len(shape) + 1 or tuple(donors.shape[:-1]) != shape:
        raise WorkbenchError(
            f"Donors must be [rows, {names}, width] = {(*shape, 'width')}, got "
            f"{tuple(donors.shape)}; record them at the "
            "same sites and positions that are patched."
        )
