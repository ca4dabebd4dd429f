"""Read prompts with a part of their states swapped, again and again, at the cost of the layers
above.

The prompts are run once. What is kept are their keys and values above the layer, the states after
it at each prompt's end and at the nodes of the metric's tree, and the readouts. A swap changes
those states alone; only they are run, from the next layer on, packed as any branch is. So a reading
costs 1 + nodes tokens a prompt in the layers above, and its gradient with respect to what was
written is exact. The value is that of :func:`workbench.trace.packed.patch_branches` with a patch
within the subspace.

Bytes: 2 x layers above x key-value heads x head size numbers for each token of the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, require_run
from workbench.patch.metrics import Metric
from workbench.progress import track
from workbench.trace.batches import plan_batches
from workbench.trace.branches import Layout, branch_columns, lay_out
from workbench.trace.checks import require_layer
from workbench.trace.edits import Recording, gather_columns
from workbench.trace.forward import run_joint
from workbench.trace.interventions import Patch
from workbench.trace.layout import pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_tail
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace
from workbench.trace.token_tree import end_columns, tree_tail


@dataclass(frozen=True, eq=False)
class _Batch:
    """Some prompts, what is kept of them, and where their ends are copied to."""

    rows: NDArray[np.int64]
    kept: CachedPrompts
    layout: Layout


class SwappedReadings:
    """Prompts whose states after ``layer`` can be changed.

    Attributes:
        states: [prompts, 1 + nodes, width] after the layer, at the ends and the nodes.
        values: [prompts] the metric unpatched, float64.
    """

    def __init__(
        self, inputs: ModelInputs, metric: Metric, layer: int, tokens_per_forward: int
    ) -> None:
        lm = inputs.lm
        require_layer(lm, layer)
        require_run(inputs, metric.tree.size)
        if not lm.architecture.independent:
            raise WorkbenchError(
                f"Layers of {lm.architecture.family} need more of each other than the residual "
                "stream, so none can be started from; choose another model."
            )
        self.inputs, self.metric, self.layer = inputs, metric, layer
        self.batches: list[_Batch] = []
        count = len(inputs.prompts)
        self.states = torch.empty((count, 1 + metric.tree.size, lm.width), dtype=lm.dtype)
        self.values = np.empty(count)
        lengths = inputs.lengths.tolist()
        planned = plan_batches(lengths, tokens_per_forward, metric.tree.size)
        with inputs.within():
            for rows in track(planned, "running the prompts", total=len(planned)):
                self._run(lm, rows)

    def _run(self, lm: LanguageModel, rows: NDArray[np.int64]) -> None:
        tree = self.metric.tree
        prompts = pad_prompts(
            [self.inputs.prompts[row] for row in rows], lm.tokenizer.pad_token_id, lm.device
        )
        ends, cache, site = end_columns(prompts, tree), PromptCache(prompts.columns), self._site
        recording = Recording(ends, (site,), {})
        final = run_joint(lm, prompts, tree_tail(prompts, tree), recording, (), cache)
        with torch.no_grad():
            self.values[rows] = self.metric.of(lm, gather_columns(final, ends)).double().cpu()
        self.states[rows] = recording.states[site].cpu()
        for layer in range(self.layer + 1):
            cache.forget(layer)
        end = prompts.lengths.cpu() - 1
        here = Patch(site, end, torch.zeros((len(rows), lm.width)))
        where = branch_columns(prompts, [[here]], end[:, None], torch.arange(len(rows)))
        layout = lay_out(prompts, tree, where, [0], 0)
        kept = CachedPrompts(prompts, cache, {}, prompts.columns - 1)
        self.batches.append(_Batch(rows, kept, layout))

    @property
    def _site(self) -> Site:
        return Site(self.layer)

    @property
    def lm(self) -> LanguageModel:
        return self.inputs.lm

    def read(self, batch: int, states: Tensor, *, gradients: bool = False) -> Tensor:
        """Return the metric [rows] of a batch's prompts with ``states`` [rows, 1 + nodes, width]
        in place of their own.
        """
        one = self.batches[batch]
        written = {self.layer: states.to(self.lm.device)}
        kept = CachedPrompts(one.kept.prompts, one.kept.cache, written, one.kept.lowest)
        with self.inputs.within(), torch.set_grad_enabled(gradients):
            final = forward_tail(
                self.lm, kept, one.layout.tail, one.layout.read.flatten(1), (), gradients=gradients
            )
            return self.metric.of(self.lm, final)

    def swap(self, subspace: Subspace | None, partner: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the metric [prompts] with each prompt's projection onto ``subspace`` (its whole
        state where None) taken from its ``partner``.
        """
        out = np.empty(len(self.values))
        for number, rows in self.rows():
            own, donors = self.states[rows], self.states[partner[rows]]
            states = donors if subspace is None else subspace.change(own, donors, 0.0)
            out[rows] = self.read(number, states).double().cpu()
        return out

    def remove(self, subspace: Subspace, mean: Tensor) -> NDArray[np.float64]:
        """Return the metric [prompts] with each prompt's projection onto ``subspace`` set to that
        of ``mean`` [1 + nodes, width].
        """
        out = np.empty(len(self.values))
        for number, rows in self.rows():
            own = self.states[rows]
            states = subspace.change(own, mean.expand_as(own), 0.0)
            out[rows] = self.read(number, states).double().cpu()
        return out

    def rows(self, order: Sequence[int] | None = None) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each batch's number and rows."""
        for number in range(len(self.batches)) if order is None else order:
            yield number, self.batches[number].rows
