"""Attribute a metric to the tokens of each prompt: gradient times the difference of embeddings.

The score of a token is (its embedding - that of a token put in its place) . gradient of the metric
at the model's input: the first-order estimate of what the metric loses when the token is replaced.
Positive: the token holds the metric up. One forward and one backward give the scores of all tokens
against any number of replacements, since a score is linear in them.

What the number does not show: a replaced token is a large step, and the gradient is a tangent.
Where they disagree the score ranks nothing, so true replacements of some tokens
(:func:`replaced_values`) belong beside it. A token is replaced alone; tokens that say the same hide
each other.

Memory: the activations of one forward, kept for the backward, for ``tokens_per_forward`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.models.components import scale_of
from workbench.patch.components import seen
from workbench.patch.inputs import Batch, ModelInputs, Reading, batch_of, require_pair
from workbench.patch.metrics import Metric
from workbench.stream.model import require_in_memory
from workbench.trace.batches import map_batches
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import record_only, run_joint
from workbench.trace.hooks import hooked
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.sites import Site

INPUT = Site(0, "resid_pre")
_AT: SiteKey = place(INPUT.layer, INPUT.component)


def attribute_tokens(
    run: ModelInputs,
    replaced: Sequence[Sequence[Sequence[int]]],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> tuple[Tensor, Tensor]:
    """Compute the metric of every prompt, [rows], and the scores of its tokens against each
    replacement, [rows, draws, longest]; NaN after a prompt's end. Float32 or wider, on the CPU.

    Args:
        replaced: for every prompt as many texts of its own length, whose tokens are put in place of
            its own, each alone.
        tokens_per_forward: most tokens of a pass with gradients.

    Raises:
        WorkbenchError: before any forward, for replacements of another length or number, and models
            whose passes cannot be differentiated or padded.
    """
    require_in_memory(run.lm, "An attribution to tokens")
    require_pair(run, run, metric.tree.size)
    draws = {len(each) for each in replaced}
    if len(replaced) != len(run.prompts) or len(draws) != 1 or 0 in draws:
        raise WorkbenchError("Give every prompt replacements, as many for one as for another.")
    for prompt, each in zip(run.prompts, replaced, strict=True):
        if any(len(text) != len(prompt) for text in each):
            raise WorkbenchError("A replacement has as many tokens as the prompt it is for.")
    lengths, (count,) = run.lengths.tolist(), draws

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        batch = batch_of(run, torch.as_tensor(rows), metric.tree)
        texts = [text for row in rows.tolist() for text in replaced[row]]
        with run.within():
            value, scores = _scores(run, batch, texts, metric)
        out = torch.full((len(rows), count, max(lengths)), float("nan"), dtype=scores.dtype)
        for at, row in enumerate(rows.tolist()):
            # Prompts are padded on the left.
            out[at, :, : lengths[row]] = scores[at, :, -lengths[row] :]
        return value, out

    value, scores = map_batches(lengths, tokens_per_forward, compute, metric.tree.size)
    return value, scores


def _scores(
    run: ModelInputs, batch: Batch, texts: Sequence[Sequence[int]], metric: Metric
) -> tuple[Tensor, Tensor]:
    """Return the metric [rows] and the scores [rows, draws, columns] of a padded batch."""
    lm, columns = run.lm, batch.prompts.columns
    drawn = pad_prompts(texts, lm.tokenizer.pad_token_id, lm.device)
    every = torch.arange(columns, device=lm.device)
    others = record_only(lm, drawn, empty_tail(drawn), every.expand(len(texts), -1), [INPUT])[:, 0]
    rows = len(batch.prompts.lengths)
    scale, own = scale_of(lm, INPUT.component), every.expand(rows, -1)
    leaves: list[Tensor] = []

    def follow(hidden: Tensor) -> Tensor:
        leaves.append(hidden.detach().requires_grad_())
        return leaves[0].view_as(leaves[0])

    with hooked(lm, {_AT: follow}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=True)
    with torch.enable_grad():
        value = metric.of(lm, gather_columns(final, batch.ends))
        (found,) = torch.autograd.grad(value.sum(), leaves)
    gradient = gather_columns(found, own).float() / scale
    difference = seen(lm, _AT, leaves[0], own).float()[:, None] - others.float().unflatten(
        0, (rows, -1)
    )
    return value.detach().cpu(), (difference * gradient[:, None]).sum(dim=-1).cpu()


def replaced_values(
    run: ModelInputs,
    replaced: Sequence[Sequence[int]],
    positions: NDArray[np.int64],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> Floats:
    """Return what the metric truly loses when tokens are replaced, one at a time, [rows, n]: whole
    passes over the prompts as they are and as they are then.

    Args:
        replaced: for every prompt a text of its length, which the new tokens are taken from.
        positions: [rows, n] tokens that are replaced.
    """
    prompts = []
    for prompt, text, where in zip(run.prompts, replaced, positions.tolist(), strict=True):
        prompts.append(list(prompt))
        prompts += [[*prompt[:at], text[at], *prompt[at + 1 :]] for at in where]
    edited = ModelInputs(run.lm, prompts, within=run.within)
    values = Reading(metric, tokens_per_forward).unpatched(edited).double().numpy()
    found = values.reshape(len(run.prompts), -1)
    return np.asarray(found[:, :1] - found[:, 1:])
