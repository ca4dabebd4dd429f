"""Run one forward pass over a packed layout: record states, write states, return final states.

The pass calls the model's own decoder (everything below the output head), so nothing of size [rows,
columns, vocab] is ever built, and no mask where the model's own causal pass is exact. Recording
clones the asked-for columns only. A write puts a state at one column of each row of a component.
Tail columns that exist only from a later layer on are appended after their first layer as copies of
their source columns. This makes the average packed branch cost half of one that is carried through
all layers. The result is the same to rounding.

The state returned in ``final`` is taken after the final norm, ready for
:func:`workbench.models.unembed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.dispatch import keeps_weights_away
from workbench.models.invocation import invoke_adapter_from
from workbench.trace.checks import require_layer, require_masks
from workbench.trace.decoder import decode, stop_with
from workbench.trace.edge_cuts import EdgeCut, cut_layers
from workbench.trace.edits import ColumnWrite, Recording, gather_columns, hook_transforms
from workbench.trace.hooks import hooked, on_inputs
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import model_mask, visibility
from workbench.trace.sites import Site
from workbench.trace.truncate import truncate_columns


@dataclass(frozen=True)
class ForwardResult:
    """The states of one pass.

    Attributes:
        final: [rows, reads, width] after the final norm at the read columns.
        recorded: [rows, sites, recorded columns, width], or None.
        cache: keys and values of all columns, or None.
    """

    final: Tensor
    recorded: Tensor | None
    cache: Any


def every_layer(lm: LanguageModel) -> tuple[Site, ...]:
    """Return the sites of the residual stream after each layer."""
    return tuple(Site(layer) for layer in range(lm.n_layers))


def forward(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    read: Tensor,
    *,
    record: Tensor | None = None,
    sites: Sequence[Site] | None = None,
    writes: Sequence[ColumnWrite] = (),
    cache: Any = None,
) -> ForwardResult:
    """Run the decoder once over prompts and tail.

    Args:
        read: [rows, reads] global columns whose final state is wanted.
        record: [rows, n] global columns, there from the first layer on, to record at every one of
            ``sites``.
        sites: what to record; the residual stream after every layer if not given. Head sites come
            alone.
        writes: applied in order at their place, after the columns that exist only from there on are
            appended.
        cache: an empty key-value cache to fill; only for tails that exist from the start.

    Raises:
        WorkbenchError: for a cache with a tail that is appended late, a layer the model lacks, a
            state to write of another shape, prompts too long for the model, and a model that takes
            no mask where one is needed.
    """
    recording = None
    if record is not None:
        recording = Recording(record, every_layer(lm) if sites is None else tuple(sites), {})
    if cache is not None and any(b >= 0 for b in tail.first_layer):
        raise WorkbenchError(
            "A cache can only be kept for tails that exist from the first layer on."
        )
    final = run_joint(lm, prompts, tail, recording, writes, cache)
    recorded = None if recording is None else recording.stacked(lm.device)
    return ForwardResult(gather_columns(final, read), recorded, cache)


def record_only(
    lm: LanguageModel, prompts: Prompts, tail: Tail, columns: Tensor, sites: Sequence[Site]
) -> Tensor:
    """Record the states of ``sites`` at ``columns`` [rows, n]: [rows, sites, n, width]. The pass
    ends after the highest site's layer.
    """
    recording = Recording(columns, tuple(sites), {})
    top = None if keeps_weights_away(lm.base()) else max(site.layer for site in sites)
    run_joint(lm, prompts, tail, recording, (), None, stop_after=top)
    return recording.stacked(lm.device)


def run_joint(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    recording: Recording | None,
    writes: Sequence[ColumnWrite],
    cache: Any,
    stop_after: int | None = None,
    gradients: bool = False,
    cuts: Sequence[EdgeCut] = (),
) -> Tensor:
    """Run one pass over prompts and tail; return [rows, columns, width] after the final norm, or
    nothing if the pass stops before it.

    With ``gradients`` the pass can be differentiated with respect to whatever a transform outside
    of it starts from. ``cuts`` are the attention edges to hide.

    Raises:
        WorkbenchError: as :func:`forward`, but for the cache.
    """
    _check(lm, prompts, tail, writes, cache)
    total = prompts.columns + tail.size
    alive = [
        prompts.columns + sum(b < layer for b in tail.first_layer)
        for layer in range(lm.n_layers + 1)
    ]

    def grow(layer: int) -> Callable[[Tensor], Tensor]:
        new = slice(alive[layer] - prompts.columns, alive[layer + 1] - prompts.columns)
        return lambda hidden: torch.cat(
            [hidden, gather_columns(hidden, tail.source_column[:, new])], dim=1
        )

    transforms = hook_transforms(
        lm, {layer: grow(layer) for layer in {*tail.first_layer} if layer >= 0}, recording, writes
    )
    if stop_after is not None:
        transforms[stop_after, "resid_post"] = stop_with(transforms.get((stop_after, "resid_post")))
    narrowed = {
        n: truncate_columns(alive[n], total, streams=lm.architecture.streams)
        for n in range(lm.n_layers)
        if alive[n] < total
    }
    positions = torch.cat([prompts.positions, tail.positions], dim=1)
    mask = None
    plain = tail.size == 0 and cache is None and prompts.causal and not cuts
    if lm.architecture.packable and not plain:
        mask = model_mask(lm, visibility(prompts, tail), positions, positions)
    tokens = torch.cat([prompts.tokens, tail.tokens], dim=1)
    starts = prompts.columns - (lm.invocation_length or 0)
    inputs = cut_layers(lm, cuts, alive, narrowed)
    with on_inputs(lm, inputs), hooked(lm, transforms), invoke_adapter_from(lm, starts):
        counted = positions if lm.architecture.packable else None  # its rows are whole strings
        return decode(lm, tokens, counted, mask, cache, gradients)


def _check(
    lm: LanguageModel, prompts: Prompts, tail: Tail, writes: Sequence[ColumnWrite], cache: Any
) -> None:
    if lm.architecture.packable or tail.size or cache is not None or not bool(prompts.valid.all()):
        require_masks(lm)
    if tail.size and tail.first_layer[-1] >= lm.n_layers:
        raise WorkbenchError(
            f"A tail token is appended after layer {tail.first_layer[-1]}; the model has layers "
            f"0 to {lm.n_layers - 1}."
        )
    check_writes(lm, prompts.rows, writes)


def check_writes(lm: LanguageModel, rows: int, writes: Sequence[ColumnWrite]) -> None:
    """Refuse layers the model lacks, and states and subspaces of another shape.

    Raises:
        WorkbenchError: for such a layer, state or subspace.
    """
    for write in writes:
        require_layer(lm, write.layer)
        whole = not write.sites and write.addition is None
        width = lm.width if whole else write.value.shape[-1]
        expected = (*write.columns.shape, width)
        written = rows if write.only is None else len(write.only)
        if (
            write.columns.dim() != 2
            or tuple(write.value.shape) != expected
            or len(write.columns) != written
        ):
            raise WorkbenchError(
                f"A state to write must be [rows, n, width] = {expected}, got "
                f"{tuple(write.value.shape)}; "
                "donor and base must come from models of the same width."
            )
        if write.subspace is not None and write.subspace.width != width:
            raise WorkbenchError(
                f"The states of layer {write.layer} to change within a subspace are {width} wide, "
                f"its basis {write.subspace.width}."
            )
