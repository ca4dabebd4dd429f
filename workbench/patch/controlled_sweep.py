"""Run the controlled sweep: patch a tuned model's states into the base model at the confidence
position, layer by layer, with every control of :mod:`workbench.patch.controls`.

The readout is the expected confidence, the mean of the exact distribution over the scale as a share
of certainty: higher is surer. The patch acts on the confidence position and, where a number takes
several tokens, on the tokens that continue it. Base and tuned run may be one module with its
adapter off and on, or two models of one shape, each with the items as its own tokens.

A state that moves the readout suffices for it where it is put. Whether the tuned model needs it
there is what the reverse condition asks. The numbers do not show by which path the state came
about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.elicit.readout import expected_confidence
from workbench.elicit.scales import Scale
from workbench.elicit.trie import ScaleTrie
from workbench.patch.controls import (
    CONDITIONS,
    Condition,
    Recorded,
    derangement,
    donor_readouts,
    donor_states,
    patched_states,
    swept_layers,
)
from workbench.patch.model_states import (
    Beginnings,
    ModelState,
    SweptItems,
    packed_engine,
    record_items,
)
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale
from workbench.pipeline.store import ROW, Part, merge_parts
from workbench.stream.rounds import run_together
from workbench.trace.backends import PACKED, Engine, engine
from workbench.trace.batches import plan_batches

BatchRunner = Callable[[Sequence[Rows], Callable[[Rows], Part], str], Part]
"""A function that computes every batch and merges the results, under a description."""


def run_batches(batches: Sequence[Rows], compute: Callable[[Rows], Part], description: str) -> Part:
    """Call ``compute`` with every batch of rows; return the joined results, in memory."""
    return merge_parts(run_together([partial(compute, batch) for batch in batches], description))


@dataclass(frozen=True, eq=False)
class SweepSettings:
    """The settings of a controlled sweep: its layers, its memory bound and its random draws.

    Attributes:
        layers: layers swept, ascending.
        control_layers: how many of them the cheaper controls are swept at.
        tokens_per_forward: memory bound, tokens of one forward.
        seed: seed of the pairing with other questions and of the random directions.
    """

    layers: Sequence[int]
    control_layers: int
    tokens_per_forward: int
    seed: int


@dataclass(frozen=True, eq=False)
class ControlledSweep:
    """An item set with its states recorded in both runs, to be swept condition by condition.

    Attributes:
        tokens: token ids of each item up to the confidence position.
        positions: [items, 2] a random earlier token and the confidence position.
        partner: [items] another item for each.
        beginnings: keys and values of the items' first tokens, where they are kept; then only what
            follows is computed.
        precision: of the passes that recorded the states and kept the beginnings.
        donor_items: the items as the tuned model's tokens, where they are not the base model's.
    """

    base: ModelState
    tuned: ModelState
    tokens: Sequence[Sequence[int]]
    positions: Rows
    trie: ScaleTrie
    scale: Scale
    settings: SweepSettings
    partner: Rows
    states: Recorded
    beginnings: Beginnings | None = None
    precision: str = "float32"
    donor_items: SweptItems | None = None

    def items(self, condition: Condition) -> SweptItems:
        """Return the items as the tokens of the model that a condition patches."""
        if condition.into_tuned and self.donor_items is not None:
            return self.donor_items
        return SweptItems(self.tokens, self.positions, self.trie)

    def swept_layers(self, condition: Condition) -> list[int]:
        """Return the layers a condition is swept at."""
        return swept_layers(condition, self.settings.layers, self.settings.control_layers)

    def sweep_batch(
        self, condition: Condition, batch: Rows, method: Engine | None = None
    ) -> tuple[Floats, Floats]:
        """Return the expected confidence of ``batch``: unpatched [items] and patched [items,
        layers]. Without a ``method`` the sweep is packed, on kept beginnings where there are any.

        Layers at which every donor's state is the overwritten one to the bit, as below an adapter
        that begins higher up, are not run: the readout there is the unpatched one. Only the noise
        floor is measured with such states.
        """
        swept = self.swept_layers(condition)
        donors = donor_states(condition, self.states, batch, self.partner, self.settings.seed)
        changed = self._changed_layers(condition, batch, donors, swept)
        items = self.items(condition)
        at = items.positions[batch, 0 if condition.random_position else 1]
        run = self.tuned if condition.into_tuned else self.base
        prompts = [items.tokens[i] for i in batch]
        used = packed_engine(self.beginnings, batch, at) if method is None else method
        with run.within():
            reading = layer_sweep_of_scale(
                run.lm,
                prompts,
                items.trie,
                at.tolist(),
                changed,
                donors[:, changed],
                tokens_per_forward=ONE_BATCH,
                engine=used,
            )
        base, read = (
            np.asarray(expected_confidence(part, self.scale.values, self.scale.certain))
            for part in (reading.base, reading.patched)
        )
        patched = np.repeat(base[:, None], len(swept), axis=1)
        patched[:, [swept.index(layer) for layer in changed]] = read
        return base, patched

    def _changed_layers(
        self, condition: Condition, batch: Rows, donors: Tensor, swept: Sequence[int]
    ) -> list[int]:
        """Return the layers at which a patch changes any state, or the last one where none does."""
        if condition.own_state:
            return list(swept)
        own = patched_states(condition, self.states, batch)
        changed = [layer for layer in swept if not torch.equal(donors[:, layer], own[:, layer])]
        return changed or list(swept[-1:])

    def read(
        self, condition: Condition, run: BatchRunner = run_batches
    ) -> tuple[Rows, Floats, Floats]:
        """Return items [items], their unpatched readouts [items] and patched ones [items,
        layers].
        """
        items = self.items(condition)
        copied = max(len(t) - int(p[0]) for t, p in zip(items.tokens, items.positions, strict=True))
        branch = (copied if condition.random_position else 1) + len(items.trie.scored_tokens)
        batches = plan_batches(
            [len(tokens) for tokens in items.tokens],
            self.settings.tokens_per_forward,
            overhead=len(self.swept_layers(condition)) * branch,
        )

        def compute(batch: Rows) -> Part:
            base, patched = self.sweep_batch(condition, batch)
            return Part(
                pd.DataFrame({ROW: batch, "base": base}), {"patched": patched.astype(np.float64)}
            )

        part = run(batches, compute, f"patching {condition.name.replace('_', ' ')}")
        return part.table[ROW].to_numpy(), part.table["base"].to_numpy(), part.tensors["patched"]

    def table(
        self,
        rows: Rows,
        run: BatchRunner = run_batches,
        conditions: Sequence[Condition] = CONDITIONS,
    ) -> pd.DataFrame:
        """Sweep ``conditions``; return a tidy table: condition, item, row, layer, base, patched,
        donor.

        Args:
            rows: [items] the label of each item in the table's column ``row``.
            conditions: at least one that patches the base run, and one that patches the tuned run:
                donors are measured by the unpatched readouts of both.
        """
        works = [partial(self.read, condition, run) for condition in conditions]
        read = dict(zip(conditions, run_together(works), strict=True))
        donors = self.donor_readouts(
            {condition: (items, base) for condition, (items, base, _) in read.items()}
        )
        parts = []
        for condition, (items, base, patched) in read.items():
            layers = self.swept_layers(condition)
            parts.append(
                pd.DataFrame(
                    {
                        "condition": condition.name,
                        "item": np.repeat(items, len(layers)),
                        ROW: np.repeat(rows[items], len(layers)),
                        "layer": np.tile(layers, len(items)),
                        "base": np.repeat(base, len(layers)),
                        "patched": patched.reshape(-1),
                        "donor": np.repeat(donors[condition][items], len(layers)),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def donor_readouts(
        self, unpatched: dict[Condition, tuple[Rows, Floats]]
    ) -> dict[Condition, Floats]:
        """Return, by condition, the readout [items] of the run each item's donor comes from.

        Args:
            unpatched: items and unpatched readouts of every condition.
        """
        into = {
            tuned: next(
                base[np.argsort(items)]
                for condition, (items, base) in unpatched.items()
                if condition.into_tuned == tuned
            )
            for tuned in (False, True)
        }
        return {
            condition: donor_readouts(condition, into[False], into[True], self.partner)
            for condition in unpatched
        }

    def compare_with_loop(self, items: int) -> tuple[float, float]:
        """Compare the packed sweep of the first condition with the loop of hooked forwards.

        Beginnings that were kept in another precision than that of the comparison are left out.

        Returns:
            The largest difference as a share of the scale, and the spread of the readouts.
        """
        batch = np.arange(min(items, len(self.tokens)))
        same = self.base.lm.precision == self.precision
        _, packed = self.sweep_batch(CONDITIONS[0], batch, None if same else PACKED)
        _, loop = self.sweep_batch(CONDITIONS[0], batch, engine("loop"))
        return float(np.abs(packed - loop).max()), float(np.ptp(loop))


def controlled_sweep(
    base: ModelState,
    tuned: ModelState,
    tokens: Sequence[Sequence[int]],
    positions: Rows,
    trie: ScaleTrie,
    scale: Scale,
    settings: SweepSettings,
    beginnings: Beginnings | None = None,
    donor_items: SweptItems | None = None,
) -> ControlledSweep:
    """Record the items' states in both runs, to be swept.

    Args:
        beginnings: keys and values of the items' first tokens, where both runs share them.
        donor_items: the items as the tuned model's tokens, where they are not the base model's.

    Raises:
        WorkbenchError: for fewer than two items, of which none could have another's donor.
    """
    partner = derangement(len(tokens), settings.seed)
    own = SweptItems(tokens, positions, trie)
    states = [
        record_items(run, each, settings.tokens_per_forward, beginnings)
        for run, each in ((base, own), (tuned, donor_items or own))
    ]
    return ControlledSweep(
        base,
        tuned,
        tokens,
        positions,
        trie,
        scale,
        settings,
        partner,
        Recorded(base=states[0], tuned=states[1]),
        beginnings,
        base.lm.precision,
        donor_items,
    )
