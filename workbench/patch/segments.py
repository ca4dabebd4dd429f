"""Cells of an atlas: named parts of conversations, patched at some sites, whatever the rows'
lengths.

A cell writes the donor's states of one or more parts at one or more sites, all together. Parts of
two questions are aligned at their ends and patched as far as both reach, so a longer question keeps
its first tokens. The part at the confidence position takes the tokens that continue a number with
it, so that a patch behind the last layer gives exactly the donor's distribution.

With donors from other questions of the same model the mean distance between donor and base is zero
or nearly so, and a ratio of means says nothing. :func:`oriented` turns every item so that its donor
lies above: the shift then weighs each item by its distance, and a patch that moves only the general
level, the same for all, cancels where as many donors lie above as below (:func:`half_ranks_apart`).
Positive: towards the donor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.readout import expected_confidence
from workbench.elicit.scales import Scale
from workbench.elicit.segments import CONFIDENCE, Segment
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.patch.effect_map import EffectMap
from workbench.patch.sweep import read_scale
from workbench.trace.backends import PACKED
from workbench.trace.forward import forward
from workbench.trace.interventions import Patch
from workbench.trace.layout import pad_prompts
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.token_tree import end_columns, tree_tail

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScaleInputs:
    """Conversations in a model, and how their confidence is read.

    Attributes:
        prompts: token ids up to the confidence position.
        within: opens the state the model is in, such as ``lambda: adapter_off(lm)``.
    """

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    trie: ScaleTrie
    scale: Scale
    tokens_per_forward: int
    within: Callable[[], AbstractContextManager[Any]] = nullcontext

    def expected(self, probabilities: Floats) -> Floats:
        """Expected confidence of distributions [..., values]: [...]."""
        return np.asarray(expected_confidence(probabilities, self.scale.values, self.scale.certain))


@dataclass(frozen=True)
class Cell:
    """``parts`` patched at ``sites`` together; heads only among themselves."""

    sites: tuple[Site, ...]
    parts: tuple[Segment, ...]


def cells_of(sites: Sequence[Site], parts: Sequence[Segment]) -> list[Cell]:
    """Every site at every part, all parts of the first site first."""
    return [Cell((site,), (part,)) for site in sites for part in parts]


def unpatched(inputs: ScaleInputs, rows: Rows) -> Floats:
    """Expected confidence [rows] as the model states it."""
    prompts = pad_prompts(
        [inputs.prompts[r] for r in rows], inputs.lm.tokenizer.pad_token_id, inputs.lm.device
    )
    tree = inputs.trie.tree
    tail, ends = tree_tail(prompts, tree), end_columns(prompts, tree)
    with inputs.within():
        final = forward(inputs.lm, prompts, tail, ends).final
        scores = unembed_reduced(inputs.lm, final, inputs.trie.readout)
    return inputs.expected(inputs.trie.distribution(scores))


def patch_cells(
    base: ScaleInputs, donor: ScaleInputs, partner: Rows, cells: Sequence[Cell], rows: Rows
) -> tuple[Floats, Floats]:
    """Expected confidence of ``rows``: unpatched [rows], and with each cell's states of its partner
    [rows, cells].

    Args:
        partner: [items] which of the donor's conversations each item's states come from.
    """
    sites = list(dict.fromkeys(site for cell in cells for site in cell.sites))
    parts = list(dict.fromkeys(part for cell in cells for part in cell.parts))
    pairs = [align(part, rows, partner, _nodes(base, part)) for part in parts]
    with donor.within():
        states = record(
            donor.lm,
            [donor.prompts[p] for p in partner[rows]],
            torch.cat([there for _, there in pairs], dim=1).tolist(),
            sites,
            tree=donor.trie.tree,
        )
    by_part = dict(
        zip(parts, states.split([here.shape[1] for here, _ in pairs], dim=2), strict=True)
    )
    positions = {part: here for part, (here, _) in zip(parts, pairs, strict=True)}
    branches = [
        tuple(
            Patch(site, positions[part][:, k], by_part[part][:, sites.index(site), k])
            for site in cell.sites
            for part in cell.parts
            for k in range(positions[part].shape[1])
        )
        for cell in cells
    ]
    with base.within():
        prompts = [base.prompts[row] for row in rows]
        reading = read_scale(PACKED, base.lm, prompts, base.trie, branches, base.tokens_per_forward)
    return base.expected(reading.base), base.expected(reading.patched)


def align(part: Segment, rows: Rows, partner: Rows, nodes: int = 0) -> tuple[Tensor, Tensor]:
    """Token positions of ``part`` in each row and in its partner, [rows, n] each, aligned at their
    ends.

    Rows in which the shorter of the two has fewer tokens than in others repeat their last pair,
    which changes nothing: a state is written twice. Directly behind the part stand ``nodes``
    positions of the tree.
    """
    other = partner[rows]
    starts, ends = np.asarray(part.starts), np.asarray(part.ends)
    before = np.minimum((ends - starts)[rows], (ends - starts)[other])[:, None]
    back = np.arange(before.max(), -1, -1)[None]
    offsets = np.concatenate(
        [-np.where(back > before, 0, back), np.tile(1 + np.arange(nodes), (len(rows), 1))], axis=1
    )
    return torch.from_numpy(ends[rows][:, None] + offsets), torch.from_numpy(
        ends[other][:, None] + offsets
    )


def pair_half_ranks_apart(readout: Floats) -> Rows:
    """For each item the one half of all ranks away in ``readout`` [items]: as many partners lie
    above as below.
    """
    items = len(readout)
    if items < 2 or items % 2:
        raise WorkbenchError(
            f"Pairs of questions need an even number of at least two; there are {items}."
        )
    order = np.argsort(readout, kind="stable")
    partner = np.empty(items, dtype=np.int64)
    partner[order] = np.roll(order, items // 2)
    return partner


def orient_to_donor(effects: EffectMap) -> EffectMap:
    """The same map with every item whose donor lies below its base turned over, so that all
    donors lie above.
    """
    sign = np.where(effects.donor < effects.base, -1.0, 1.0)
    turned = effects.patched * sign.reshape(-1, *[1] * len(effects.axes))
    return EffectMap(effects.axes, effects.base * sign, effects.donor * sign, turned)


def _nodes(inputs: ScaleInputs, part: Segment) -> int:
    return inputs.trie.tree.size if part.name == CONFIDENCE else 0
