"""Lay out which tokens of a run's conversations are cut off which, in which layers, with the
controls.

The number's queries are the confidence position and the nodes of the scale after it, so that no
digit reads round a cut. Controls cut the same queries off as many tokens drawn at random from those
before them, never from the answer, the first token after it, or the conversation's first token. In
one control the cut is the claim's own and the layers are random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.elicit.segments import AFTER_ANSWER as AFTER
from workbench.elicit.segments import ANSWER, CONFIDENCE, QUESTION, Segment
from workbench.experiments.patching_maps.items import PatchingItems
from workbench.experiments.patching_maps.maps import layer_bands
from workbench.mechanisms.works.gathered_measures import (
    AFTER_ANSWER,
    CONTROL,
    LATE,
    NUMBER_AFTER,
    NUMBER_ANSWER,
    RANDOM_LAYERS,
)
from workbench.patch.knockout_windows import other_keys
from workbench.patch.maps import spans
from workbench.trace.interventions import Branch
from workbench.trace.knockouts import AttentionKnockout

RANDOM_DRAWS = 3
WIDTH_SHARE = 5
"""Windows are this part of the layers wide."""
BY_WINDOW = (AFTER_ANSWER, NUMBER_ANSWER, NUMBER_AFTER, "number_question")


@dataclass(frozen=True, eq=False)
class EdgeSet:
    """The queries [items, n] that are cut off keys [items, m], and off as many other tokens."""

    queries: Tensor
    keys: Tensor
    control: Tensor


def edge_sets(held: PatchingItems, seed: int) -> dict[str, EdgeSet]:
    """Return what is cut off what, by name among the quantities' edges."""
    named = {name: _tokens(held.part(name)) for name in (QUESTION, ANSWER, AFTER, CONFIDENCE)}
    after, number = named[AFTER], named[CONFIDENCE]
    nodes = torch.arange(1, 1 + held.reading.metric.tree.size).expand(len(number), -1)
    number = torch.cat([number, number[:, -1:] + nodes], dim=1)
    later = int((number.amax(dim=1) - after[:, 0]).min())
    readers = after + torch.arange(1, later + 1)
    pairs = {
        AFTER_ANSWER: (after, named[ANSWER]),
        "readers_answer": (readers, named[ANSWER]),
        "readers_after": (readers, after),
        NUMBER_ANSWER: (number, named[ANSWER]),
        NUMBER_AFTER: (number, after),
        "number_question": (number, named[QUESTION]),
    }
    never = torch.cat([named[ANSWER], after], dim=1)
    return {
        name: EdgeSet(queries, keys, other_keys(queries, keys, seed=seed + at, never=never))
        for at, (name, (queries, keys)) in enumerate(pairs.items())
    }


def whole_branches(sets: Mapping[str, EdgeSet], n_layers: int, seed: int) -> dict[str, Branch]:
    """Return the cuts in all layers, with their controls, and those in the late third and in as
    many random layers; of the last, :data:`RANDOM_DRAWS` under numbered names.
    """
    bands = layer_bands(n_layers)
    found: dict[str, Branch] = {}
    for name, each in sets.items():
        found[name] = (AttentionKnockout(each.queries, each.keys, tuple(bands["all"])),)
        found[name + CONTROL] = (
            AttentionKnockout(each.queries, each.control, tuple(bands["all"])),
        )
    number = sets[NUMBER_AFTER]
    late = tuple(bands["late"])
    found[LATE] = (AttentionKnockout(number.queries, number.keys, late),)
    generator = np.random.default_rng(seed)
    for draw in range(RANDOM_DRAWS):
        layers = tuple(generator.choice(n_layers, len(late), replace=False).tolist())
        found[f"{RANDOM_LAYERS} {draw}"] = (AttentionKnockout(number.queries, number.keys, layers),)
    return found


def windows_of(n_layers: int, count: int) -> list[tuple[int, ...]]:
    """Return at most ``count`` windows of a fifth of the layers, spread evenly."""
    every = every_window_of(n_layers)
    at = np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int))
    return [every[index] for index in at]


def every_window_of(n_layers: int) -> list[tuple[int, ...]]:
    """Return all windows of a fifth of the layers, one at least."""
    width = max(1, n_layers // WIDTH_SHARE)
    return [tuple(range(first, first + width)) for first in range(n_layers - width + 1)]


def window_cuts(
    sets: Mapping[str, EdgeSet], names: Sequence[str], windows: Sequence[tuple[int, ...]]
) -> dict[str, Branch]:
    """Return the cuts ``names``, and their controls, in each of ``windows``."""
    return {
        f"{name}{kind} {window[0]}": (AttentionKnockout(sets[name].queries, keys, window),)
        for name in names
        for kind, keys in (("", sets[name].keys), (CONTROL, sets[name].control))
        for window in windows
    }


def of_rows(branches: Mapping[str, Branch], rows: Sequence[int]) -> list[Branch]:
    """Return the branches of some items alone."""
    chosen = torch.as_tensor(list(rows))
    return [tuple(each.of_rows(chosen) for each in branch) for branch in branches.values()]


def _tokens(part: Segment) -> Tensor:
    """Return a part's tokens [items, n]; a shorter one repeats its first."""
    return spans(part.starts, part.ends)[0]
