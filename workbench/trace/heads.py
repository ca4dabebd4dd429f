"""Attention heads as slices of the output projection's input, whole or split over processes.

Under tensor parallelism each process holds a consecutive share of the query heads, so its
projection sees that share alone. Reading gathers the heads of all processes; writing touches those
that are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from workbench.compat import process_count, process_mesh
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel


@dataclass(frozen=True, eq=False)
class HeadShard:
    """Heads ``first`` to ``first + count`` of a layer are in this process; ``group`` holds the
    others, None if none do.
    """

    size: int
    first: int
    count: int
    group: Any = None

    def split(self, hidden: Tensor) -> Tensor:
        """[..., heads here, head size] view of [..., heads here * head size]."""
        if hidden.shape[-1] != self.count * self.size:
            raise WorkbenchError(
                f"The attention's output projection reads {hidden.shape[-1]} numbers a token where "
                f"{self.count} heads of "
                f"{self.size} were expected; heads of this model cannot be addressed, use attn_out."
            )
        return hidden.unflatten(-1, (self.count, self.size))

    def local(self, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Of ``heads`` [n], which are here (their places in the list) and what number they have
        here.
        """
        here = torch.nonzero((heads >= self.first) & (heads < self.first + self.count))[:, 0]
        return here, heads[here] - self.first

    def read(self, states: Tensor, heads: Sequence[int]) -> Tensor:
        """``heads`` out of ``states`` [rows, n, heads here, size], from whichever process has
        them: [rows, n, len(heads), size].
        """
        wanted = torch.as_tensor(heads, device=states.device)
        if self.group is None:
            return states[:, :, wanted]
        found = states.new_zeros((*states.shape[:2], len(heads), self.size))
        here, number = self.local(wanted)
        found[:, :, here] = states[:, :, number]
        dist.all_reduce(found, group=self.group)
        return found


def head_shard(lm: LanguageModel) -> HeadShard:
    """This process's share of every layer's heads."""
    processes = process_count(lm.base())
    if processes == 1:
        return HeadShard(lm.head_size, 0, lm.n_heads)
    count, rest = divmod(lm.n_heads, processes)
    mesh = process_mesh(lm.base())
    group = (mesh["tp"] if "tp" in (mesh.mesh_dim_names or ()) else mesh).get_group()
    if rest:
        raise WorkbenchError(
            f"{lm.n_heads} heads do not divide over {processes} processes; use a divisor of the "
            "heads."
        )
    return HeadShard(lm.head_size, count * dist.get_rank(group), count, group)
