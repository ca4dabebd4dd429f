"""Build the transforms that record and write states at the places of one forward pass.

``resid_pre`` of a layer is ``resid_post`` of the layer before, so both share one place; only the
first layer's input has a place of its own. At a place, states are recorded first, then the columns
that exist only from there on are appended, then writes are applied in their order. So what is
recorded is what the model computed, whatever is written there. What a later write of the layer is
computed from is read last, as the model goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.components import scale_of
from workbench.models.moved_bytes import moved
from workbench.stream.tasks import note_kept
from workbench.trace.computed_addition import ComputedAddition
from workbench.trace.hooks import Transform
from workbench.trace.sites import Component, Site
from workbench.trace.slices import SliceShard, slice_shard
from workbench.trace.subspace import Subspace

SiteKey = tuple[int, Component]


def place(layer: int, component: Component) -> SiteKey:
    """Return the place at which a component of a layer is read and written."""
    return (
        (layer - 1, "resid_post") if component == "resid_pre" and layer > 0 else (layer, component)
    )


@dataclass(frozen=True, eq=False)
class ColumnWrite:
    """A write: ``value`` [rows, n, width] is put at global ``columns`` [rows, n] of a component of
    ``layer``.

    ``sites`` [n] names the slice of each entry for sliced components; ``width`` is then that of the
    slice. ``add`` adds instead of replacing. ``only`` [rows] names the batch's rows that are
    written, all of them if None. With a ``subspace`` only the projection onto it is changed, to the
    value's plus ``factor`` times its own. An ``addition`` is computed from the state of its source
    at the same columns, the value [rows, n, its size] and the factor.
    """

    layer: int
    columns: Tensor
    value: Tensor
    component: Component = "resid_post"
    sites: tuple[Site, ...] = ()
    add: bool = False
    only: Tensor | None = None
    subspace: Subspace | None = None
    factor: float = 0.0
    addition: ComputedAddition | None = None

    def where(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the rows [rows, 1] and columns [rows, n] of the pass that are written."""
        rows = torch.arange(len(self.columns)) if self.only is None else self.only
        return moved(rows, device)[:, None], moved(self.columns, device)


@dataclass(frozen=True, eq=False)
class Recording:
    """The states of ``sites`` at global ``columns`` [rows, n]. ``states`` is filled while the pass
    runs.
    """

    columns: Tensor
    sites: tuple[Site, ...]
    states: dict[Site, Tensor]

    def stacked(self, device: torch.device) -> Tensor:
        """Return the recorded states, stacked: [rows, sites, n, width]."""
        return torch.stack([moved(self.states[site], device) for site in self.sites], dim=1)


def gather_columns(hidden: Tensor, columns: Tensor) -> Tensor:
    """Copy ``hidden`` [rows, columns, width] at ``columns`` [rows, n]: [rows, n, width]."""
    columns = moved(columns, hidden.device)
    return hidden.gather(1, columns[:, :, None].expand(-1, -1, hidden.shape[-1]))


def hook_transforms(
    lm: LanguageModel,
    appends: dict[int, Callable[[Tensor], Tensor]],
    recording: Recording | None,
    writes: Sequence[ColumnWrite],
) -> dict[SiteKey, Transform]:
    """Return one transform for each place where columns are appended (``appends``, by the layer
    they follow), states recorded or states written.
    """
    sites: dict[SiteKey, list[Site]] = {}
    for site in recording.sites if recording else ():
        sites.setdefault(place(site.layer, site.component), []).append(site)
    mine: dict[SiteKey, list[ColumnWrite]] = {}
    for write in writes:
        mine.setdefault(place(write.layer, write.component), []).append(write)
    sources: dict[SiteKey, list[ColumnWrite]] = {}
    for write in writes:
        if write.addition is not None and write.addition.source is not None:
            sources.setdefault(place(write.layer, write.addition.source), []).append(write)
    read: dict[int, Tensor] = {}
    appended: dict[SiteKey, Callable[[Tensor], Tensor]] = {
        (layer, "resid_post"): grow for layer, grow in appends.items()
    }

    def transform_at(at: SiteKey) -> Transform:
        grow, wanted, written = appended.get(at), sites.get(at, []), mine.get(at, [])
        sought = sources.get(at, [])
        scale, shard = scale_of(lm, at[1]), slice_shard(lm, at[1])

        def transform(hidden: Tensor) -> Tensor:
            if wanted:
                assert recording is not None
                _record(hidden, wanted, recording, scale, shard)
            if grow is not None:
                hidden = grow(hidden)
            elif written:
                hidden = hidden.clone()
            for write in written:
                if write.addition is not None:
                    _add_computed(hidden, write, write.addition, scale, read)
                else:
                    _apply(hidden, write, scale, shard)
            for write in sought:
                read[id(write)] = hidden[write.where(hidden.device)] * scale
            return hidden

        return transform

    return {at: transform_at(at) for at in {*sites, *mine, *appended, *sources}}


def _record(
    hidden: Tensor,
    sites: Sequence[Site],
    recording: Recording,
    scale: float,
    shard: SliceShard | None,
) -> None:
    columns = moved(recording.columns, hidden.device)
    if shard is None:
        states = gather_columns(hidden, columns)
        for site in sites:
            recording.states[site] = states if scale == 1.0 else states * scale
            note_kept(recording.states[site])
        return
    recording.states.update(zip(sites, shard.read(hidden, columns, sites), strict=True))


def _apply(hidden: Tensor, write: ColumnWrite, scale: float, shard: SliceShard | None) -> None:
    """Write into ``hidden`` in place; it belongs to the caller."""
    value = moved(write.value, hidden.device)
    value = value if scale == 1.0 else value / scale
    where = write.where(hidden.device)
    if write.subspace is not None:
        width = value.shape[-1]
        own = hidden[where] if shard is None else shard.take(hidden, where, write.sites, width)
        value = write.subspace.change(own, value, write.factor)
    value = value.to(hidden.dtype)
    if shard is None:
        hidden.index_put_(where, value, accumulate=write.add)
        return
    shard.write(hidden, where, write.sites, value, write.add)


def _add_computed(
    hidden: Tensor,
    write: ColumnWrite,
    addition: ComputedAddition,
    scale: float,
    read: dict[int, Tensor],
) -> None:
    """Add in place what ``addition`` computes from what is there, or from what was ``read`` at its
    source for this write.
    """
    where = write.where(hidden.device)
    own = hidden[where]
    source = own * scale if addition.source is None else moved(read.pop(id(write)), hidden.device)
    value = moved(write.value, hidden.device)
    # Passes may be made under autocast, which would round a dictionary's products.
    with torch.autocast(hidden.device.type, enabled=False):
        added = addition.added(source, value, write.factor)
        new = own.to(torch.promote_types(own.dtype, added.dtype)) + added / scale
    hidden.index_put_(where, new.to(hidden.dtype))
