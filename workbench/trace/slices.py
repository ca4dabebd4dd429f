"""Read and write slices of a tensor at chosen tokens, whole or split over processes.

Under tensor parallelism each process holds a consecutive share of the heads or neurons, so a hook
sees that share alone. Reading gathers the entries of all processes; writing touches those that are
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from workbench.compat_processes import process_count, process_group
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.slices import Slices, slices_of
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class SliceShard:
    """This process's share of a sliced component's tensor: entries ``first`` to ``first + count``.
    ``group`` are the processes that hold all of it, None if this one does.
    """

    component: str
    slices: Slices
    first: int
    count: int
    group: Any = None

    @property
    def whole(self) -> SliceShard:
        """The same for a tensor that every process holds all of."""
        return SliceShard(self.component, self.slices, 0, self.slices.total)

    def _gathered(self, hidden: Tensor) -> bool:
        """Whether the family's plan gathers the tensor in every process, as before a norm over all
        heads.
        """
        return self.group is not None and hidden.shape[-1] == self.slices.total

    def require_width(self, hidden: Tensor) -> None:
        """Refuse a tensor that is not as wide as the configuration says.

        Raises:
            WorkbenchError: for such a tensor.
        """
        if hidden.shape[-1] != self.count:
            raise WorkbenchError(
                f"The tensor of {self.component} has {hidden.shape[-1]} numbers a token where "
                f"{self.slices.count} slices of {self.slices.size} were expected, {self.count} "
                "numbers in this process; parts of this model cannot be addressed, use attn_out or "
                "mlp_out."
            )

    def read(self, hidden: Tensor, columns: Tensor, sites: Sequence[Site]) -> list[Tensor]:
        """Copy the slices that ``sites`` name out of ``hidden`` [rows, columns, entries here] at
        ``columns`` [rows, n], from whichever process has them: each [rows, n, width].

        Raises:
            WorkbenchError: for a tensor of another width.
        """
        if self._gathered(hidden):
            return self.whole.read(hidden, columns, sites)
        self.require_width(hidden)
        rows = torch.arange(len(columns), device=hidden.device)[:, None]
        states = hidden[rows, columns]
        out = []
        for site in sites:
            start, stop = self.bounds(site)
            if self.group is None:
                out.append(states[..., start:stop].clone())
                continue
            found = states.new_zeros((*states.shape[:2], stop - start))
            low, high = max(start, self.first), min(stop, self.first + self.count)
            if low < high:
                found[..., low - start : high - start] = states[
                    ..., low - self.first : high - self.first
                ]
            out.append(found)
        if self.group is not None:
            together = torch.cat(out, dim=-1)
            dist.all_reduce(together, group=self.group)
            out = list(together.split([part.shape[-1] for part in out], dim=-1))
        return out

    def write(
        self,
        hidden: Tensor,
        where: tuple[Tensor, Tensor],
        sites: Sequence[Site],
        value: Tensor,
        add: bool,
    ) -> None:
        """Write ``value`` [rows, n, width] into ``hidden`` in place, at the entries of ``sites``
        [n], which have one width.

        Args:
            where: rows [rows, 1] and columns [rows, n] of ``hidden``.

        Raises:
            WorkbenchError: for a tensor of another width.
        """
        if self._gathered(hidden):
            self.whole.write(hidden, where, sites, value, add)
            return
        index, here = self._entries(hidden, where, sites, value.shape[-1])
        hidden.index_put_(index, value[here], accumulate=add)

    def take(
        self, hidden: Tensor, where: tuple[Tensor, Tensor], sites: Sequence[Site], width: int
    ) -> Tensor:
        """Copy the entries of ``sites`` [n], each of ``width``, out of ``hidden`` as :meth:`write`
        finds them, from whichever process has them: [rows, n, width].

        Raises:
            WorkbenchError: for a tensor of another width.
        """
        if self._gathered(hidden):
            return self.whole.take(hidden, where, sites, width)
        index, here = self._entries(hidden, where, sites, width)
        if self.group is None:
            return hidden[index]
        found = hidden.new_zeros((len(where[0]), len(sites), width))
        found[here] = hidden[index]
        dist.all_reduce(found, group=self.group)
        return found

    def _entries(
        self, hidden: Tensor, where: tuple[Tensor, Tensor], sites: Sequence[Site], width: int
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[slice | Tensor, ...]]:
        """Return where in ``hidden`` those entries of ``sites`` lie that are here, and where they
        lie in the values [rows, n, width] of all.
        """
        self.require_width(hidden)
        rows, columns = where
        starts = torch.tensor([self.bounds(site)[0] for site in sites], device=hidden.device)
        entries = starts[:, None] + torch.arange(width, device=hidden.device)
        if self.group is None:
            return (rows[:, :, None], columns[:, :, None], entries[None]), (slice(None),)
        here = (entries >= self.first) & (entries < self.first + self.count)
        patch, entry = torch.nonzero(here, as_tuple=True)
        index = (rows, columns[:, patch], (entries[patch, entry] - self.first)[None])
        return index, (slice(None), patch, entry)

    def bounds(self, site: Site) -> tuple[int, int]:
        """Return the first entry of ``site`` in the whole tensor and the one after its last."""
        assert site.index is not None
        start = self.slices.first(site.index)
        return start, start + site.span * self.slices.size


def slice_shard(lm: LanguageModel, component: str) -> SliceShard | None:
    """Return this process's share of a component's tensor; None for components without slices.

    Raises:
        WorkbenchError: where the slices do not divide over the processes.
    """
    slices = slices_of(lm, component)
    if slices is None:
        return None
    processes = process_count(lm.base())
    if processes == 1:
        return SliceShard(component, slices, 0, slices.total)
    if not slices.whole:
        raise WorkbenchError(
            f"{lm.architecture.family} computes queries, keys and values in one projection, whose "
            f"parts are not told apart over {processes} processes; use head_out or attn_out."
        )
    if slices.count % processes:
        raise WorkbenchError(
            f"{component} of {lm.architecture.family} has {slices.count} slices, which do not "
            f"divide over {processes} processes; use a divisor of the heads, or attn_out and "
            "mlp_out."
        )
    group = process_group(lm.base())
    count = slices.total // processes
    return SliceShard(component, slices, count * dist.get_rank(group), count, group)
