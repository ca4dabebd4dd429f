"""Run rows of equal length without padding or masks, and keep the states they leave, so that
further tokens continue from copies of them.

Layers that mix tokens by attention leave keys and values, recurrent and linear-attention layers a
state of fixed size and the last inputs of a convolution. The model makes what holds them itself and
takes it back under a name of its family's; the host library writes recurrent states in place. So
:meth:`RowStates.select` copies, row by row, whatever a row has in there: a row may be taken many
times, and what continues from a copy leaves the original as it was.

That a family continues exactly from such copies is no claim of this module's.
:mod:`workbench.trace.continuation` checks it on the model itself.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.edits import ColumnWrite, Recording, hook_transforms
from workbench.trace.forward import check_writes
from workbench.trace.hooks import hooked

STATE_NAMES = ("past_key_values", "cache_params", "state")
"""The names under which decoders of the host library take and return what earlier tokens left."""


@dataclass(frozen=True, eq=False)
class RowStates:
    """What the first ``length`` tokens of ``rows`` rows left in a model's layers.

    ``held`` is the model's own object. A pass that continues from it changes it.
    """

    held: Any
    rows: int
    length: int

    def select(self, indices: Tensor) -> RowStates:
        """Return a copy of the rows ``indices`` [n], each as often as it is named."""
        return RowStates(_selected(self.held, self.rows, indices), len(indices), self.length)

    @property
    def bytes_per_row(self) -> int:
        """The bytes that one row takes."""
        sizes = [
            part.numel() * part.element_size() // self.rows
            for part in _tensors(self.held)
            if _by_row(part, self.rows)
        ]
        return sum(sizes)


def state_name(lm: LanguageModel) -> str:
    """Return the name under which the model's decoder takes states; empty where it takes none."""
    taken = inspect.signature(type(lm.decoder()).forward).parameters
    return next((name for name in STATE_NAMES if name in taken), "")


def run_rows(
    lm: LanguageModel,
    tokens: Sequence[Sequence[int]],
    states: RowStates | None = None,
    *,
    keep: bool = True,
    recording: Recording | None = None,
    writes: Sequence[ColumnWrite] = (),
) -> tuple[Tensor, RowStates | None]:
    """Run one pass over ``tokens`` [rows, n] that continue ``states``, or begin a string.

    Columns of the recording and of the writes count from the first of ``tokens``.

    Args:
        states: what precedes the tokens; used up by the pass.
        keep: whether the states the tokens leave are wanted.

    Returns:
        [rows, n, width] after the final norm, and the states of all tokens so far (None where they
        are not kept).
    """
    ids = torch.as_tensor([list(row) for row in tokens], dtype=torch.long, device=lm.device)
    rows, count = ids.shape
    check_writes(lm, rows, writes)
    before = 0 if states is None else states.length
    name = state_name(lm)
    given = {} if states is None else {name: states.held}
    transforms = hook_transforms(lm, {}, recording, writes)
    with torch.no_grad(), hooked(lm, transforms):
        out = lm.decoder()(
            input_ids=ids,
            attention_mask=None,
            position_ids=torch.arange(before, before + count, device=lm.device).expand(rows, -1),
            use_cache=keep or states is not None,
            **given,
        )
    held = getattr(out, name, None) if keep else None
    kept = None if held is None else RowStates(held, rows, before + count)
    return out.last_hidden_state, kept


def kept_rows(lm: LanguageModel, tokens: Sequence[Sequence[int]]) -> RowStates:
    """Return the states that strings ``tokens`` [rows, n] leave.

    Raises:
        WorkbenchError: where the model's decoder returns none.
    """
    _, kept = run_rows(lm, tokens)
    if kept is None:
        raise WorkbenchError(
            f"The decoder of {lm.architecture.family} returns no states; run whole strings."
        )
    return kept


def _by_row(part: Tensor, rows: int) -> bool:
    return part.dim() > 1 and part.shape[0] == rows


def _parts(held: Any) -> Mapping[Any, Any] | None:
    """Return the named parts of a container of the host library's, None for anything else."""
    if isinstance(held, Mapping):
        return held
    if isinstance(held, list | tuple):
        return dict(enumerate(held))
    theirs = type(held).__module__.startswith("transformers")
    return vars(held) if theirs and not isinstance(held, PreTrainedConfig | type) else None


def _tensors(held: Any) -> Iterator[Tensor]:
    if isinstance(held, Tensor):
        yield held
    for part in (_parts(held) or {}).values():
        yield from _tensors(part)


def _selected(held: Any, rows: int, indices: Tensor) -> Any:
    if isinstance(held, Tensor):
        return (
            held.index_select(0, indices.to(held.device)) if _by_row(held, rows) else held.clone()
        )
    parts = _parts(held)
    if parts is None:
        return held
    chosen = {name: _selected(part, rows, indices) for name, part in parts.items()}
    if isinstance(held, list | tuple):
        return type(held)(chosen.values())
    if isinstance(held, dict):
        return chosen
    new = copy.copy(held)
    vars(new).update(chosen)
    return new
