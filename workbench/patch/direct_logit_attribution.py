"""Attribute a sum of logits directly to the embedding, attention, heads and MLPs that wrote it.

The stream in front of the final norm is the embedding plus everything the layers added. With the
final norm's scale frozen (:mod:`workbench.patch.frozen_norm`) a sum of logits is linear in that
stream, so it splits into one piece for each thing added at that position, and the pieces sum to it
exactly, up to the rounding of the model's own arithmetic (``remainder``). Positive: the piece
raises the sum of logits (:mod:`workbench.patch.logit_combinations`, before a family's soft cap).

A piece is what is added to the stream, so it is taken after a family's norm or multiplier on the
path. A head's piece is its share through the output projection and, where a norm follows attention,
through that norm's frozen scale; biases on the way are a piece of their own.

A piece does not show what the part does for later layers, which is often more than what it writes
itself. And a frozen scale hides that a part also changes the norm for all others. Source: Elhage et
al. 2021; nostalgebraist's logit lens, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, model_arithmetic
from workbench.models.components import place_of, scale_of
from workbench.models.invocation import active_invocation, invoke_adapter_from
from workbench.models.plain_weights import is_linear
from workbench.patch.components import ComponentSet, require_cut, states_at
from workbench.patch.frozen_norm import frozen
from workbench.patch.inputs import ModelInputs, batch_of, require_pair
from workbench.patch.logit_combinations import Combination
from workbench.trace.batches import map_batches
from workbench.trace.edits import SiteKey
from workbench.trace.sites import Component
from workbench.trace.token_tree import NO_TREE

PARTS: tuple[Component, ...] = ("attn_out", "mlp_out", "head_out")


@dataclass(frozen=True, eq=False)
class Direct:
    """The pieces of a sum of logits, float64 on the CPU.

    Attributes:
        total: [rows] the sum itself, from the model's own head.
        embedding: [rows] the input of the first layer.
        attention: [rows, layers].
        mlp: [rows, layers].
        heads: [rows, layers, heads]; together with ``head_bias`` they sum to ``attention``.
        head_bias: [rows, layers] biases after the heads.
        constant: [rows] biases of the final norm and of the head.
    """

    total: Tensor
    embedding: Tensor
    attention: Tensor
    mlp: Tensor
    heads: Tensor
    head_bias: Tensor
    constant: Tensor

    @property
    def remainder(self) -> Tensor:
        """[rows] total minus all pieces: rounding, as large as the dtype's."""
        pieces = self.embedding + self.attention.sum(dim=1) + self.mlp.sum(dim=1) + self.constant
        return self.total - pieces


def direct_attribution(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    combination: Combination,
    *,
    tokens_per_forward: int,
    positions: Sequence[int] | None = None,
) -> Direct:
    """Split ``combination`` of the next-token logits at one position of each prompt, by default its
    last token.

    Raises:
        WorkbenchError: if the combination and the prompts differ in rows.
    """
    run = ModelInputs(lm, prompts)
    if positions is not None:
        run = run.at(torch.as_tensor(list(positions))[:, None])
    require_pair(run, run, 0)
    cut = ComponentSet(tuple(range(lm.n_layers)), PARTS)
    require_cut(lm, cut)
    if len(combination.weights) != len(prompts):
        raise WorkbenchError(
            f"The combination has {len(combination.weights)} rows for {len(prompts)} prompts."
        )
    start = adapter_start(lm, run)
    places: list[SiteKey] = [*cut.places(), (0, "resid_pre"), (lm.n_layers - 1, "resid_post")]

    def compute(numbers: NDArray[np.int64]) -> tuple[Tensor, ...]:
        rows = torch.as_tensor(numbers)
        _, states = states_at(lm, batch_of(run, rows, NO_TREE), places)
        with invoke_adapter_from(lm, start), model_arithmetic(lm):
            return _split(lm, {at: state[:, 0] for at, state in states.items()}, combination, rows)

    return Direct(*map_batches(run.lengths.tolist(), tokens_per_forward, compute))


def adapter_start(lm: LanguageModel, run: ModelInputs) -> int:
    """Return where a switched-on adapter that acts on a prompt's last tokens starts in a pass of
    the read tokens alone: at the first of them, or after it.

    Raises:
        WorkbenchError: if only some of the prompts are read where the adapter acts.
    """
    invocation = active_invocation(lm)
    acts = run.positions[:, 0].cpu() >= run.lengths - (invocation or 0)
    if invocation is not None and len(acts.unique()) > 1:
        raise WorkbenchError(
            f"The adapter acts on a prompt's last {invocation} tokens; read all prompts there, or "
            "all of them before."
        )
    return 0 if bool(acts.any()) else 1


def _split(
    lm: LanguageModel, states: dict[SiteKey, Tensor], combination: Combination, rows: Tensor
) -> tuple[Tensor, ...]:
    """Return the fields of :class:`Direct`, from the states [rows, width] of every place at the
    position read.
    """
    if lm.architecture.before_head or not is_linear(lm.head()):
        raise WorkbenchError(
            f"{lm.architecture.family} has more than a linear map between its final norm and its "
            "logits, through which a sum cannot be split: use patching or attribution"
        )
    weights = combination.weights[rows.to(combination.weights.device)].double().cpu()
    tolerance = 50 * float(torch.finfo(lm.dtype).eps)
    stream = states[lm.n_layers - 1, "resid_post"]
    direction, head_bias = _head_direction(lm, combination.tokens, weights)
    norm = frozen(lm.final_norm(), stream, tolerance)
    with torch.no_grad():
        logits = (
            lm.head()(lm.final_norm()(stream)[:, None])[:, 0, list(combination.tokens)]
            .double()
            .cpu()
        )
    total = _factor(lm) * (weights * logits).sum(dim=-1)
    back = norm.back(direction)
    layers = range(lm.n_layers)
    embedding = _along(back, states[0, "resid_pre"])
    attention = torch.stack([_along(back, states[layer, "attn_out"]) for layer in layers], dim=1)
    mlp = torch.stack([_along(back, states[layer, "mlp_out"]) for layer in layers], dim=1)
    shares = [_heads(lm, layer, states[layer, "head_out"], back, tolerance) for layer in layers]
    heads, bias = (torch.stack(each, dim=1) for each in zip(*shares, strict=True))
    return (
        total,
        embedding,
        attention,
        mlp,
        heads,
        bias,
        (direction * norm.bias).sum(dim=-1) + head_bias,
    )


def _along(direction: Tensor, states: Tensor) -> Tensor:
    return (direction * states.double().cpu()).sum(dim=-1)


def _head_direction(
    lm: LanguageModel, tokens: Sequence[int], weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the direction [rows, width] after the final norm whose product with the state is the
    combination, and its bias [rows].
    """
    matrix, bias = _affine(lm.head(), lm, list(tokens))
    return _factor(lm) * weights @ matrix, _factor(lm) * weights @ bias


def _factor(lm: LanguageModel) -> float:
    """Return the factor between the head's output and the logits before their cap."""
    return lm.architecture.logit_scale


def _affine(module: nn.Module, lm: LanguageModel, outputs: list[int]) -> tuple[Tensor, Tensor]:
    """Return the rows ``outputs`` of an affine module's matrix, [n, inputs], and its bias there
    [n], adapters inside it included.
    """
    width = lm.width
    device = next(module.parameters()).device
    with torch.enable_grad():
        zero = torch.zeros((1, 1, width), dtype=lm.dtype, device=device, requires_grad=True)
        answers = module(zero)[0, 0, outputs]
        matrix = [
            torch.autograd.grad(answer, [zero], retain_graph=True)[0][0, 0] for answer in answers
        ]
    return torch.stack(matrix).double().cpu(), answers.detach().double().cpu()


def _heads(
    lm: LanguageModel, layer: int, states: Tensor, back: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Return the pieces [rows, heads] of the heads whose sums are ``states`` [rows, heads * head
    size], and of the biases after them [rows].
    """
    pulled, bias = pull_through_heads(lm, layer, states, back, tolerance)
    pieces = pulled * states.double().cpu()
    return pieces.unflatten(-1, (lm.n_heads, lm.head_size)).sum(dim=-1), bias


def pull_through_heads(
    lm: LanguageModel, layer: int, states: Tensor, back: Tensor, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Pull directions ``back`` [rows, width] of the stream back to the heads of a layer, whose sums
    are ``states`` [rows, heads * head size]: the directions there, in the same shape, and what the
    biases after the heads give [rows]. A norm on the way is frozen at the states.
    """
    projection = place_of(lm, layer, "head_out").module
    added = place_of(lm, layer, "attn_out").module
    direction, bias = back * scale_of(lm, "attn_out"), torch.zeros(len(states), dtype=torch.float64)
    with torch.no_grad():
        projected = projection(states[:, None])[:, 0]
    if added is not lm.layers()[layer].get_submodule(lm.architecture.attention):
        norm = frozen(added, projected, tolerance)
        bias = (direction * norm.bias).sum(dim=-1)
        direction = norm.back(direction)
    with torch.enable_grad():
        zero = torch.zeros_like(states[:, None], requires_grad=True)
        answer = projection(zero)
        (pulled,) = torch.autograd.grad(answer, [zero], direction[:, None].to(answer))
    bias = bias + (direction * answer.detach()[:, 0].double().cpu()).sum(dim=-1)
    return pulled[:, 0].double().cpu(), bias
