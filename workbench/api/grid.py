"""Build the cells of a sweep or a map: which sites and places are patched together, along which
axes.

Whatever is an axis is patched one by one, and whatever is not is patched all together: over layers
alone, a cell patches every place and component of one layer at once. Windows are runs of
neighbouring layers or neurons patched together, named by their first and last: windows of layers
overlap, those of neurons lie end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any, Literal, get_args

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.slices import slices_of
from workbench.patch.controls import control_layers
from workbench.patch.effect_map import Axis
from workbench.trace.sites import Component, Site

AxisName = Literal["layer", "position", "component", "head", "neuron"]
AXES: tuple[AxisName, ...] = get_args(AxisName)
PARTS: dict[str, Component] = {
    "resid_pre": "resid_pre",
    "resid_mid": "resid_mid",
    "resid_post": "resid_post",
    "attn_out": "attn_out",
    "mlp_in": "mlp_in",
    "mlp_out": "mlp_out",
    "heads": "head_out",
    "queries": "query",
    "keys": "key",
    "values": "value",
    "neurons": "neuron",
}
"""A person's names of the components; a plural means all heads or neurons of a layer."""
BY_HEAD = ("heads", "queries", "keys", "values")
_NEURONS = "neurons"


_OF_AXIS: dict[str, str | tuple[str, ...]] = {
    "head": "heads",
    "neuron": "neurons",
    "component": ("resid_pre", "attn_out", "mlp_out"),
}


@dataclass(frozen=True)
class Cell:
    """One cell: ``sites`` patched together, each at all of ``places`` (indices of the places
    named).
    """

    sites: tuple[Site, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep or a map, in row-major order of ``axes``."""

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.labels) for axis in self.axes)

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site of any cell, once."""
        return tuple(dict.fromkeys(site for cell in self.cells for site in cell.sites))

    def thin_layers(self, count: int) -> Grid:
        """Return the same grid with ``count`` of its layers, evenly spread; the whole grid if
        layers are no axis.
        """
        names = [axis.name for axis in self.axes]
        if "layer" not in names:
            return self
        at = names.index("layer")
        kept = control_layers(range(len(self.axes[at].labels)), count)
        axis = Axis("layer", tuple(self.axes[at].labels[index] for index in kept))
        after = prod(self.shape[at + 1 :])
        cells = tuple(
            cell for index, cell in enumerate(self.cells) if index // after % self.shape[at] in kept
        )
        return replace(self, axes=(*self.axes[:at], axis, *self.axes[at + 1 :]), cells=cells)


def make_grid(
    lm: LanguageModel,
    over: Sequence[str],
    *,
    layers: Any,
    window: int,
    component: Any,
    neuron_window: int,
    places: Sequence[str],
) -> Grid:
    """Every cell over the named axes.

    Args:
        over: names of axes, in the order of the result's.
        layers: "all", or layer numbers.
        window: neighbouring layers patched together.
        component: a name of :data:`PARTS`, or several.
        neuron_window: neighbouring neurons patched together.
        places: labels of the places named.

    Raises:
        WorkbenchError: for unknown axes and components, layers the model lacks, and heads
            or neurons mixed with other components along an axis of theirs.
    """
    names = _axes(over)
    parts = chosen_parts(component, names)
    wanted = chosen_layers(lm, layers)
    runs = _windows(wanted, window)
    if "neuron" not in names and neuron_window != 1:
        raise WorkbenchError("neuron_window needs 'neuron' among the axes in over.")
    options: dict[str, tuple[tuple[int | str, ...], list[Any]]] = {
        "layer": (tuple(label for label, _ in runs), [run for _, run in runs]),
        "position": (tuple(places), [(index,) for index in range(len(places))]),
        "component": (tuple(parts), [(part,) for part in parts]),
    }
    slices = slices_of(lm, PARTS[parts[0]])
    if "head" in names and slices is not None:
        heads = range(slices.count)
        options["head"] = (tuple(heads), [((head, 1),) for head in heads])
    if "neuron" in names:
        options["neuron"] = neuron_windows(lm.mlp_width, neuron_window)
    together = {
        "layer": tuple(wanted),
        "position": tuple(range(len(places))),
        "component": tuple(parts),
        "head": None,
        "neuron": None,
    }
    cells = []
    for choice in product(*(options[name][1] for name in names)):
        chosen = together | dict(zip(names, choice, strict=True))
        sites = tuple(
            site
            for layer in chosen["layer"]
            for part in chosen["component"]
            for site in _sites(lm, layer, part, chosen["neuron" if part == _NEURONS else "head"])
        )
        cells.append(Cell(sites, chosen["position"]))
    return Grid(tuple(Axis(name, options[name][0]) for name in names), tuple(cells))


def default_component(axes: Sequence[str]) -> str | tuple[str, ...]:
    """Return the components that are patched along some axes where none is named."""
    return next((part for name, part in _OF_AXIS.items() if name in axes), "resid_post")


def _axes(over: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the axes.

    Raises:
        WorkbenchError: for none, an unknown one, and one named twice.
    """
    names = (over,) if isinstance(over, str) else tuple(over)
    if not names or len({*names}) != len(names) or not {*names} <= {*AXES}:
        raise WorkbenchError(
            f"A map runs over some of {', '.join(AXES)}, each named once; got over={over!r}."
        )
    return names


def chosen_parts(component: Any, axes: Sequence[str]) -> list[str]:
    """Return the components that ``component`` names, checked against the axes.

    Raises:
        WorkbenchError: for unknown or repeated components, and others than heads or neurons along
            an axis of these.
    """
    parts = [component] if isinstance(component, str) else list(component)
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts or len({*parts}) != len(parts):
        raise WorkbenchError(
            f"A component is one of {', '.join(PARTS)}, each named once; got {component!r}."
        )
    if "head" in axes and not (len(parts) == 1 and parts[0] in BY_HEAD):
        raise WorkbenchError(
            f"A map over heads patches one of {', '.join(BY_HEAD)} alone; leave component out for "
            "heads."
        )
    if "neuron" in axes and parts != [_NEURONS]:
        raise WorkbenchError("A map over neurons patches neurons alone; leave component out.")
    return parts


def chosen_layers(lm: LanguageModel, layers: Any) -> list[int]:
    """Return the layers that ``layers`` names, ascending: "all", a number or several.

    Raises:
        WorkbenchError: for no layers, and layers the model lacks.
    """
    if isinstance(layers, str) and layers == "all":
        return list(range(lm.n_layers))
    wanted = [layers] if isinstance(layers, int) else list(layers)
    outside = [layer for layer in wanted if not 0 <= layer < lm.n_layers]
    if outside or not wanted:
        raise WorkbenchError(
            f"layers is {layers!r}; give some of 0 to {lm.n_layers - 1}, or 'all'."
        )
    return sorted({*wanted})


def _windows(layers: list[int], size: int) -> list[tuple[int | str, tuple[int, ...]]]:
    """Return the label and the layers of each window of ``size`` neighbouring layers.

    Raises:
        WorkbenchError: for a size that does not fit.
    """
    if size == 1:
        return [(layer, (layer,)) for layer in layers]
    if not 1 <= size <= len(layers):
        raise WorkbenchError(f"A window holds 1 to {len(layers)} of the layers, not {size}.")
    runs = [tuple(layers[at : at + size]) for at in range(len(layers) - size + 1)]
    return [(f"{run[0]}–{run[-1]}", run) for run in runs]


def neuron_windows(
    width: int, size: int
) -> tuple[tuple[int | str, ...], list[tuple[tuple[int, int], ...]]]:
    """Return labels of windows of ``size`` neurons, end to end, and for each its first neuron and
    its size; the last may be smaller.

    Raises:
        WorkbenchError: for a size that does not fit.
    """
    if not 1 <= size <= width:
        raise WorkbenchError(f"A window of neurons holds 1 to {width} of them, not {size}.")
    starts = range(0, width, size)
    runs = [(first, min(size, width - first)) for first in starts]
    labels = [first if span == 1 else f"{first}–{first + span - 1}" for first, span in runs]
    return tuple(labels), [(run,) for run in runs]


def _sites(
    lm: LanguageModel, layer: int, part: str, chosen: Sequence[tuple[int, int]] | None
) -> list[Site]:
    """Return the sites of a component in a layer: the ``chosen`` slices, each by its first and how
    many, or all of them.
    """
    name = PARTS[part]
    slices = slices_of(lm, name)
    if slices is None:
        return [Site(layer, name)]
    if chosen is None and part == _NEURONS:
        chosen = [(0, slices.count)]
    elif chosen is None:
        chosen = [(head, 1) for head in range(slices.count)]
    return [Site(layer, name, first, span) for first, span in chosen]
