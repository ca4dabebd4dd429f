"""One forward pass over a packed layout: record states, write states, read final states.

The pass calls the model's own decoder (everything below the output head), so nothing of size [rows, columns, vocab] is
ever built. Recording clones the asked-for columns only. A write replaces the residual stream behind a layer at one column
of each row. Late-born tail columns are appended behind the layer of their birth as copies of their twins, which makes the
average packed branch cost half of one that is carried through all layers; the result is the same to rounding.

What comes back in ``final`` is the state behind the final norm, ready for :func:`workbench.models.unembed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.hooks import Narrow, Transform, on_inputs, on_outputs
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import model_mask, visibility


@dataclass(frozen=True)
class Write:
    """Replace the residual stream behind ``layer`` at global columns [rows] or [rows, n] by ``value`` [..., width]."""

    layer: int
    column: Tensor
    value: Tensor


@dataclass(frozen=True)
class ForwardResult:
    """States of one pass.

    Attributes:
        final: [rows, reads, width] behind the final norm at the read columns.
        recorded: [rows, layers, recorded columns, width] residual stream behind each layer, or None.
        cache: keys and values of all columns, or None.
    """

    final: Tensor
    recorded: Tensor | None
    cache: Any


def take(hidden: Tensor, columns: Tensor) -> Tensor:
    """Copy of ``hidden`` [rows, columns, width] at ``columns`` [rows, n]: [rows, n, width]."""
    return hidden.gather(1, columns[:, :, None].expand(-1, -1, hidden.shape[-1]))


def forward(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    read: Tensor,
    *,
    record: Tensor | None = None,
    writes: Sequence[Write] = (),
    cache: Any = None,
) -> ForwardResult:
    """Run the decoder once over prompts and tail.

    Args:
        read: [rows, reads] global columns whose final state is wanted.
        record: [rows, n] global columns, there from the first layer on, to record behind every layer.
        writes: applied in order behind their layer, after late-born columns of that layer are appended.
        cache: an empty key-value cache to fill; only for tails that exist from the start.
    """
    _check(lm, prompts, tail, writes, cache)
    layers = lm.n_layers
    total = prompts.columns + tail.size
    alive = [prompts.columns + sum(b < layer for b in tail.birth) for layer in range(layers + 1)]
    recorded: list[Tensor] = []

    def behind(layer: int) -> Transform:
        born = slice(alive[layer] - prompts.columns, alive[layer + 1] - prompts.columns)
        mine = [w for w in writes if w.layer == layer]

        def transform(hidden: Tensor) -> Tensor:
            if record is not None:
                recorded.append(take(hidden, record))
            if born.stop > born.start:
                hidden = torch.cat([hidden, take(hidden, tail.twin[:, born])], dim=1)
            elif mine:
                hidden = hidden.clone()
            for write in mine:
                rows = torch.arange(prompts.rows, device=hidden.device).reshape(-1, *[1] * (write.column.dim() - 1))
                hidden[rows, write.column] = write.value.to(hidden)
            return hidden

        return transform

    touched = {w.layer for w in writes} | {b for b in tail.birth if b >= 0}
    outputs = {layer: behind(layer) for layer in range(layers) if record is not None or layer in touched}
    narrowed = {layer: _narrow(layer, alive[layer], total) for layer in range(layers) if alive[layer] < total}
    positions = torch.cat([prompts.positions, tail.positions], dim=1)
    mask = model_mask(lm, visibility(prompts, tail), positions, positions)
    with torch.no_grad(), on_outputs(lm, outputs), on_inputs(lm, narrowed):
        final = lm.decoder()(
            input_ids=torch.cat([prompts.tokens, tail.tokens], dim=1),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
    return ForwardResult(take(final, read), torch.stack(recorded, dim=1) if recorded else None, cache)


def _check(lm: LanguageModel, prompts: Prompts, tail: Tail, writes: Sequence[Write], cache: Any) -> None:
    masked = tail.size or cache is not None or not bool(prompts.valid.all())
    if masked and not lm.architecture.packable:
        raise WorkbenchError(
            f"Packed, padded and cached forwards are not valid for {lm.architecture.family}: {lm.architecture.why_not}; "
            "use a model whose layers mix tokens by attention alone."
        )
    if tail.size and tail.birth[-1] >= lm.n_layers:
        raise WorkbenchError(
            f"A tail token is born behind layer {tail.birth[-1]}; the model has layers 0 to {lm.n_layers - 1}."
        )
    if cache is not None and any(b >= 0 for b in tail.birth):
        raise WorkbenchError("A cache can only be kept for tails that exist from the first layer on.")
    for write in writes:
        if not 0 <= write.layer < lm.n_layers:
            raise WorkbenchError(f"Layer {write.layer} does not exist; the model has layers 0 to {lm.n_layers - 1}.")
        expected = (*write.column.shape, lm.width)
        if tuple(write.value.shape) != expected or write.column.shape[0] != prompts.rows:
            raise WorkbenchError(
                f"A state to write must be [rows, ..., width] = {expected}, got {tuple(write.value.shape)}; "
                "donor and base must come from models of the same width."
            )
        if not bool(torch.isfinite(write.value).all()):
            raise WorkbenchError(f"The state to write behind layer {write.layer} has NaN or infinite entries.")


def _narrow(layer: int, alive: int, total: int) -> Narrow:
    """Cut a layer's arguments from ``total`` columns to the ``alive`` ones that exist at its input."""

    def narrow(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = args[0] if args else kwargs["hidden_states"]
        hidden = hidden[:, :alive]
        kwargs = {name: _cut(name, value, alive, total) for name, value in kwargs.items()}
        if not args:
            return args, {**kwargs, "hidden_states": hidden}
        rest = tuple(_cut_mask(value, alive, total) for value in args[1:])
        return (hidden, *rest), kwargs

    return narrow


def _cut(name: str, value: Any, alive: int, total: int) -> Any:
    if name == "attention_mask":
        return _cut_mask(value, alive, total)
    if name == "position_ids" and isinstance(value, Tensor):
        return value[..., :alive]
    if name == "position_embeddings" and value is not None:
        return tuple(part[..., :alive, :] for part in value)
    return value


def _cut_mask(value: Any, alive: int, total: int) -> Any:
    if isinstance(value, Tensor) and value.dim() == 4 and tuple(value.shape[-2:]) == (total, total):
        return value[..., :alive, :alive]
    return value
