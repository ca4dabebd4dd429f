"""Search the directions through which a variable acts: learn them on training questions, by
swapping.

Each step gives a batch of questions the coordinates of random others and moves the directions
towards where the readout then is the others' variable, in squared standard deviations of the
training questions' readouts. The model is frozen. The rank, or a boundary's settings, and the
number of steps are given before; nothing is chosen on the questions that are measured.

The squared error asks for the variable itself, so a direction that moves the readout but not by as
much as the variable says costs as much as one that does not move it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.patch.controls import derangement
from workbench.progress import task
from workbench.subspaces.rotation import Boundless, Rotation
from workbench.subspaces.swapped_readings import SwappedReadings
from workbench.subspaces.variable import Scale
from workbench.trace.subspace import Subspace

MOST_DIRECTIONS = 8


@dataclass(frozen=True)
class SearchSettings:
    """How directions are learned: ``epochs`` over the training questions, each with new donors, and
    Adam's first ``rate``, which falls to nothing along a half cosine.
    """

    epochs: int = 10
    rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.rate > 0:
            raise WorkbenchError(f"A search needs an epoch and a rate above 0; got {self}.")


def require_rank(rank: int | Boundless, width: int) -> None:
    """Refuse ranks that are not searched.

    Raises:
        WorkbenchError: for a rank outside 1 to MOST_DIRECTIONS, and directions beyond the width.
    """
    if isinstance(rank, Boundless):
        if rank.most > width:
            raise WorkbenchError(
                f"A boundary among {rank.most} directions needs as wide a state; it has {width}."
            )
    elif not 1 <= rank <= min(MOST_DIRECTIONS, width):
        raise WorkbenchError(
            f"A searched subspace has 1 to {min(MOST_DIRECTIONS, width)} directions, not {rank}; "
            "for more, let Boundless find how many."
        )


def search_subspace(
    readings: SwappedReadings,
    target: Floats,
    rank: int | Boundless,
    settings: SearchSettings,
    description: str = "searching a subspace",
) -> Subspace:
    """Return the subspace whose swap brings the donor's ``target`` [prompts], one a training
    prompt.
    """
    boundless = rank if isinstance(rank, Boundless) else None
    size = rank.most if isinstance(rank, Boundless) else rank
    rotation = Rotation(readings.lm.width, size, boundless, settings.seed)
    scale = Scale.of(readings.values)
    wanted = torch.as_tensor(Scale.of(target).standard(target), dtype=torch.float32)
    weights = [each for each in rotation.parameters() if each.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=settings.rate)
    steps = settings.epochs * len(readings.batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    rng = np.random.default_rng(settings.seed)
    with task(description, steps) as progress:
        for epoch in range(settings.epochs):
            partner = derangement(len(target), settings.seed + epoch)
            order = rng.permutation(len(readings.batches)).tolist()
            for done, (number, rows) in enumerate(readings.rows(order)):
                share = (epoch * len(order) + done) / max(1, steps - 1)
                donors = partner[rows]
                states = rotation.swapped(readings.states[rows], readings.states[donors], share)
                found = readings.read(number, states, gradients=True)
                error = _standard(found, scale) - wanted[donors].to(found.device)
                loss = error.square().mean() + rotation.penalty()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                progress.advance()
    return rotation.subspace()


def _standard(values: Tensor, scale: Scale) -> Tensor:
    return (values.float() - scale.mean) / scale.spread
