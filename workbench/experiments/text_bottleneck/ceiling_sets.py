"""Choose the sets of writers that a run's model is read without; keep sets and writers in tables.

Every attribution has sets of its largest writers, of every size. Random sets are like those of the
ablation. AUROC2 needs many questions, so it is read with few sets: those the ablation chose, from a
size on, and the random ones of one size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.bottleneck.ceiling_writers import ABLATION, ATTRIBUTIONS
from workbench.bottleneck.writer_sets import WriterSet, largest_writers, random_sets
from workbench.trace.sites import Site

SIZES = (1, 2, 4, 8)
RANDOM_SETS, RANDOM_SIZE = 20, 8
"""Random sets of every size, and the size of those beside which AUROC2 is read."""
TOLD_FROM = 4
"""The least size of a chosen set with which AUROC2 is read."""
NO_INDEX = -1
"""Stands for the index of a writer that is no head."""


@dataclass(frozen=True)
class AblatedSet:
    """A set of ``writers``, by their indices: of the largest share by an ``attribution``, or random
    like it.
    """

    attribution: str
    at_random: bool
    writers: WriterSet

    @property
    def size(self) -> int:
        return len(self.writers)

    @property
    def told(self) -> bool:
        """Whether AUROC2 is read with it ablated."""
        chosen = self.size >= TOLD_FROM and not self.at_random
        return self.attribution == ABLATION and (chosen or self.size == RANDOM_SIZE)


def choose_sets(
    writers: Sequence[Site], scores: Mapping[str, Floats], rng: np.random.Generator
) -> list[AblatedSet]:
    """Choose sets of every size by every attribution's mean ``scores`` [attributed, writers], and
    draw random sets like those of the ablation.
    """
    sizes = [size for size in SIZES if size < len(writers)]
    chosen = [
        AblatedSet(name, False, largest_writers(scores[name].mean(axis=0), size))
        for name in ATTRIBUTIONS
        for size in sizes
    ]
    drawn = [
        AblatedSet(ABLATION, True, like)
        for one in chosen
        if one.attribution == ABLATION
        for like in random_sets(writers, one.writers, RANDOM_SETS, rng)
    ]
    return [*chosen, *drawn]


def sets_of(table: pd.DataFrame) -> list[AblatedSet]:
    """Return the sets of a stage's table SETS, in their order."""
    return [
        AblatedSet(
            str(each["attribution"].iloc[0]),
            bool(each["at_random"].iloc[0]),
            tuple(each["writer"].tolist()),
        )
        for _, each in table.groupby("set", sort=True)
    ]


def kept_writers(table: pd.DataFrame) -> tuple[Site, ...]:
    """Return the writers of a stage's table WRITERS, in their order."""
    columns = (table[name].tolist() for name in ("layer", "component", "index"))
    return tuple(
        Site(layer, component, None if index == NO_INDEX else index)
        for layer, component, index in zip(*columns, strict=True)
    )


def writers_table(writers: Sequence[Site]) -> pd.DataFrame:
    """Write the writers as a table, one row each."""
    return pd.DataFrame(
        {
            "layer": [site.layer for site in writers],
            "component": [site.component for site in writers],
            "index": [NO_INDEX if site.index is None else site.index for site in writers],
        }
    )


def sets_table(sets: Sequence[AblatedSet]) -> pd.DataFrame:
    """Write the sets as a table, one row a set and writer."""
    return pd.DataFrame(
        [
            {
                "set": number,
                "attribution": one.attribution,
                "at_random": one.at_random,
                "writer": writer,
            }
            for number, one in enumerate(sets)
            for writer in one.writers
        ]
    )
