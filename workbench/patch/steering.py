"""Steer a model: add a direction to the residual stream while the model writes its confidence.

For every layer and length a branch adds the same vector at the confidence position and at every
further token of a number, so that the whole number is written under steering; all branches share
the prompt's computation. Read are the exact distribution over the scale and the value greedy
decoding would write (:mod:`workbench.patch.written_confidence`). Sign: a positive length moves
states towards where the direction points (a probe's points to right answers).

One vector moves all questions alike, so steering can move the level of confidence freely. It
discriminates better only if states respond differently. Random directions of equal norm show what
any push of that length does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.written_confidence import (
    WrittenConfidence,
    number_positions,
    read_written,
)
from workbench.trace.backends import PACKED, Engine
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class Push:
    """A steering vector: ``vector`` [width] added after ``layer``."""

    layer: int
    vector: Tensor

    def __post_init__(self) -> None:
        if self.vector.dim() != 1:
            raise WorkbenchError(f"A push needs a vector [width], not {list(self.vector.shape)}.")


def steer(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: ScaleTrie,
    pushes: Sequence[Push],
    *,
    tokens_per_forward: int,
    engine: Engine = PACKED,
) -> WrittenConfidence:
    """Read confidence under every push.

    Args:
        prompts: conversations up to the confidence position, their last token.
        trie: of the scale, after them.
        tokens_per_forward: most tokens of a forward.
        engine: runs the pushes (:func:`workbench.trace.backends.engine`).
    """
    places = number_positions(prompts, trie).unbind(dim=1)
    branches = [
        [
            Patch(Site(push.layer), place, push.vector.expand(len(prompts), -1).contiguous(), "add")
            for place in places
        ]
        for push in pushes
    ]  # fmt: skip
    return read_written(
        lm, prompts, trie, branches, tokens_per_forward=tokens_per_forward, engine=engine
    )


def spread_of(states: Floats) -> float:
    """Return the standard deviation over questions of states [questions, width], all directions
    together. It is the unit of a push's length.
    """
    return float(np.sqrt(states.astype(np.float64).var(axis=0).sum()))


def pushes_along(directions: Floats, layers: Sequence[int], lengths: Floats) -> list[Push]:
    """Make the pushes of every layer and length, layer by layer.

    Args:
        directions: [layers, width], of any norm.
        lengths: [layers, n] signed.

    Raises:
        WorkbenchError: for a direction of length zero.
    """
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    if not (norms > 0).all():
        raise WorkbenchError("A direction of length zero points nowhere.")
    units = directions / norms
    return [
        Push(layer, torch.as_tensor(unit * length, dtype=torch.float32))
        for layer, unit, row in zip(layers, units, lengths, strict=True)
        for length in row
    ]
