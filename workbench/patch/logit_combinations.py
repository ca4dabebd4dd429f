"""Define which logits a direct attribution explains: weighted sums of next-token logits at one
position.

A combination with weights w explains sum_t w_t z_t, z being logits *before* a family's soft cap,
the last nonlinearity after which nothing can be split. Positive pieces raise the sum.

:func:`number_contrast` compares chosen number tokens with the scale's other ones.
:func:`expected_combination` is the direction in which the logits move the expected confidence, at
the distribution observed: the gradient of the expectation by the number's first token, what follows
it held fixed. Its pieces sum to a logit sum, not to the expectation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.patch.inputs import ModelInputs, batch_of, require_run
from workbench.patch.metrics import expected_confidence_of
from workbench.trace.batches import map_batches
from workbench.trace.edits import gather_columns
from workbench.trace.forward import run_joint


@dataclass(frozen=True, eq=False)
class Combination:
    """A weighted sum of logits: ``weights`` [rows, n] of the logits of ``tokens`` [n]."""

    tokens: tuple[int, ...]
    weights: Tensor

    def __post_init__(self) -> None:
        if self.weights.dim() != 2 or self.weights.shape[1] != len(self.tokens) or not self.tokens:
            raise WorkbenchError("A combination needs weights [rows, tokens], one column a token.")
        if not bool(torch.isfinite(self.weights).all()):
            raise WorkbenchError("A combination's weights must be finite.")


def logit_contrast(chosen: Sequence[int], others: Sequence[int], rows: int) -> Combination:
    """Return the mean logit of ``chosen`` minus the mean logit of ``others``, the same for all
    rows.

    Raises:
        WorkbenchError: if either side is empty, or a token is on both.
    """
    if not chosen or not others or {*chosen} & {*others}:
        raise WorkbenchError(
            "A contrast needs at least one token on either side, and none on both."
        )
    weights = [1 / len(chosen)] * len(chosen) + [-1 / len(others)] * len(others)
    return Combination(
        (*chosen, *others), torch.tensor(weights, dtype=torch.float64).expand(rows, -1)
    )


def number_contrast(trie: ScaleTrie, values: Sequence[float]) -> Combination:
    """Return, for each row, the logit of the first token of its value minus the mean over the
    scale's other first tokens.

    Raises:
        WorkbenchError: for a value outside the scale, and a scale whose numbers all begin with one
            token.
    """
    tokens = trie.children[0]
    if len(tokens) < 2:
        raise WorkbenchError(
            "All numbers of the scale begin with one token, so there is nothing to compare it with."
        )
    unknown = [value for value in values if value not in trie.values]
    if unknown:
        raise WorkbenchError(f"{unknown[0]} is no value of the scale.")
    first = [tokens.index(trie.ends[trie.values.index(value)][0][0][1]) for value in values]
    weights = torch.full((len(values), len(tokens)), -1 / (len(tokens) - 1), dtype=torch.float64)
    weights[torch.arange(len(values)), torch.tensor(first)] = 1.0
    return Combination(tokens, weights)


def expected_combination(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: ScaleTrie,
    certain: float,
    *,
    tokens_per_forward: int,
) -> Combination:
    """Return the gradient of the expected confidence with respect to the logits of the number's
    first token, at each prompt's end.
    """
    metric = expected_confidence_of(trie, certain)
    run = ModelInputs(lm, prompts)
    require_run(run, 0)

    def compute(rows: NDArray[np.int64]) -> Tensor:
        batch = batch_of(run, torch.as_tensor(rows), trie.tree)
        final = gather_columns(run_joint(lm, batch.prompts, batch.tail, None, (), None), batch.ends)
        with torch.no_grad():
            logits = unembed(lm, final.flatten(0, 1)).unflatten(0, final.shape[:2])
        with torch.enable_grad():
            first = logits[:, 0].requires_grad_()
            reduced = torch.cat(
                [metric.readout(first)[:, None], metric.readout(logits[:, 1:])], dim=1
            )
            value = metric.of_reduced(reduced if trie.tree.size else reduced[:, 0])
            (gradient,) = torch.autograd.grad(value.sum(), [first])
        return (gradient * _uncapped(lm, first.detach()))[:, list(trie.children[0])].double().cpu()

    weights = map_batches(run.lengths.tolist(), tokens_per_forward, compute, trie.tree.size)
    return Combination(trie.children[0], weights)


def _uncapped(lm: LanguageModel, logits: Tensor) -> Tensor:
    """Return the derivative of capped logits with respect to uncapped ones: 1 - tanh ** 2 of the
    cap, or 1.
    """
    cap = lm.architecture.logit_softcap
    return torch.ones_like(logits) if cap is None else 1 - (logits / cap).square()
