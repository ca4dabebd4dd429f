"""Make maps of activation patching: layers, layers by positions, by heads, by components, and
windows of layers.

A map is a grid of cells with named axes, each some sites at some of the patched positions
(:class:`Cells`). :func:`patch_map` takes donors in the layout in which
:func:`workbench.trace.record` returns states of the cells' sites at the same positions, patches
every cell and gives ``base`` [rows, ...] and ``patched`` [rows, *axes, ...]. Every engine runs them
(:class:`workbench.patch.inputs.Reading`).

Which run is patched is the caller's choice of model state: with one model and an adapter, record
donors with the adapter on and patch inside ``adapter_off`` (base <- tuned), or the other way round
(tuned <- base). A map says what a state can do where it is put, not that the model reads it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.patch.branches import (
    Cell,
    Mode,
    cell_branches,
    head_sites,
    layer_sites,
    single_cells,
    sites_of,
)
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import ModelInputs, Reading
from workbench.trace.interventions import Readout
from workbench.trace.sites import Component, Site


@dataclass(frozen=True)
class Cells:
    """The cells of a map, in the order of a grid with named axes, the last running fastest.

    The places of a cell are columns of the patched positions.
    """

    cells: tuple[Cell[int], ...]
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        count = torch.Size(len(axis.labels) for axis in self.axes).numel()
        if count != len(self.cells):
            raise WorkbenchError(
                f"A grid of {' x '.join(axis.name for axis in self.axes)} has {count} cells, got "
                f"{len(self.cells)}."
            )

    @property
    def sites(self) -> list[Site]:
        """The sites donors are recorded at, in the order a map takes them."""
        return sites_of(self.cells)


@dataclass(frozen=True, eq=False)
class PatchedMap:
    """The readouts of a map: ``base`` [rows, ...] unpatched, ``patched`` [rows, *axes, ...]."""

    axes: tuple[Axis, ...]
    base: Tensor
    patched: Tensor


def patch_map(
    inputs: ModelInputs, cells: Cells, donors: Tensor, reading: Reading, *, mode: Mode = "replace"
) -> PatchedMap:
    """Patch every cell at the positions of ``inputs``, and return the readouts.

    Args:
        inputs: the run patched.
        donors: [rows, sites, positions, width] states of ``cells.sites`` at the positions.
        reading: what is read; its ``metric.readout`` alone is applied, node by node.

    Raises:
        WorkbenchError: before any forward, for sites, positions or donors that do not fit.
    """
    branches = cell_branches(cells.cells, inputs.positions, donors, mode=mode)
    out = reading.readouts(inputs, branches)
    shape = tuple(len(axis.labels) for axis in cells.axes)
    return PatchedMap(cells.axes, out.base, out.patched.unflatten(1, shape))


def layer_cells(layers: Sequence[int], component: Component = "resid_post") -> Cells:
    """Return one component of each layer at the first position: [layers]."""
    cells = single_cells(layer_sites(layers, component), [0])
    return Cells(tuple(cells), (Axis("layer", tuple(layers)),))


def position_cells(
    layers: Sequence[int], positions: int, component: Component = "resid_post"
) -> Cells:
    """Return one component of each layer at each of so many positions: [layers, positions]."""
    cells = single_cells(layer_sites(layers, component), range(positions))
    axes = Axis("layer", tuple(layers)), Axis("position", tuple(range(positions)))
    return Cells(tuple(cells), axes)


def head_cells(layers: Sequence[int], heads: Sequence[int]) -> Cells:
    """Return single heads at the first position: [layers, heads]."""
    axes = Axis("layer", tuple(layers)), Axis("head", tuple(heads))
    return Cells(tuple(single_cells(head_sites(layers, heads), [0])), axes)


def component_cells(layers: Sequence[int], components: Sequence[Component]) -> Cells:
    """Return the components of each layer at the first position: [components, layers]."""
    sites = [site for component in components for site in layer_sites(layers, component)]
    axes = Axis("component", tuple(components)), Axis("layer", tuple(layers))
    return Cells(tuple(single_cells(sites, [0])), axes)


def window_cells(layers: Sequence[int], size: int, component: Component = "resid_post") -> Cells:
    """Return the runs of ``size`` neighbouring ``layers`` patched together at the first position:
    [windows], labelled by their first layer.

    Raises:
        WorkbenchError: for a ``size`` below 1 or above the number of layers.
    """
    if not 1 <= size <= len(layers):
        raise WorkbenchError(f"A window spans 1 to {len(layers)} of the layers given, not {size}.")
    sites = layer_sites(layers, component)
    starts = range(len(sites) - size + 1)
    cells = tuple(Cell(tuple(sites[start : start + size]), (0,)) for start in starts)
    return Cells(cells, (Axis("first layer", tuple(layers[start] for start in starts)),))


def spans(starts: Sequence[int], ends: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the token positions from ``starts`` to ``ends`` (included) of each row, aligned at
    their ends.

    Returns:
        Positions [rows, longest] and which of them are inside their row's span, bool; a place
        before a shorter span repeats its first position, so that a map over it is defined and can
        be left out of means.

    Raises:
        WorkbenchError: for an end before its start, and a negative start.
    """
    first, last = torch.as_tensor(list(starts)), torch.as_tensor(list(ends))
    if first.shape != last.shape or bool((first < 0).any()) or bool((last < first).any()):
        raise WorkbenchError("Every span needs a start and an end at or after it, counted from 0.")
    back = torch.arange(int((last - first).max()), -1, -1)
    positions = last[:, None] - back
    return positions.clamp(min=first[:, None]), positions >= first[:, None]


def token_logits(tokens: Sequence[int]) -> Readout:
    """Return the logits of chosen tokens: [n, vocab] -> [n, tokens] float32."""
    return lambda logits: logits[:, list(tokens)].float()


def token_log_probabilities(tokens: Sequence[int]) -> Readout:
    """Return the log-probabilities of chosen tokens among the whole vocabulary: [n, vocab] -> [n,
    tokens] float32.
    """
    return lambda logits: (
        logits[:, list(tokens)].float() - logits.float().logsumexp(dim=-1, keepdim=True)
    )


def logit_difference(first: int, second: int) -> Readout:
    """Return the logit of token ``first`` minus that of ``second``: [n, vocab] -> [n] float32."""
    return lambda logits: (logits[:, first] - logits[:, second]).float()
