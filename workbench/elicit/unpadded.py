"""Continue prompts of a model that no mask can pad: rows of equal length share passes, and every
token continues the states that the ones before it left.

Where a model does not take its states up again exactly, which is checked on it
(:mod:`workbench.trace.continuation`), every token costs a pass over the whole string. The tokens
are those of one row alone, whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.elicit.generate import Pick
from workbench.models import LanguageModel
from workbench.models.finite import require_finite
from workbench.models.room import require_room
from workbench.trace.checks import require_one_invocation
from workbench.trace.continuation import continuation_of
from workbench.trace.row_states import RowStates, run_rows
from workbench.trace.unpadded import rows_of_one_length, warn_unpadded


@dataclass(frozen=True, eq=False)
class UnpaddedPrompts:
    """Prompts that were run in groups of one length.

    Attributes:
        final: [rows, width] the states after the final norm at their ends.
        groups: the rows of each group, and the states they left; None where none can be continued.
            Continuing them uses them up.
    """

    prompts: Sequence[Sequence[int]]
    final: Tensor
    groups: list[tuple[list[int], RowStates | None]]


def run_unpadded(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> UnpaddedPrompts:
    """Run every prompt once; the batch as a whole is the bound of a pass.

    Raises:
        WorkbenchError: for prompts longer than the model reads, an adapter on a prompt's last
            tokens alone, and states that are not finite.
    """
    require_one_invocation(lm)
    lengths = [len(prompt) for prompt in prompts]
    require_room(lm, max(lengths))
    warn_unpadded(lm)
    found = continuation_of(lm, prompts)
    whole = sum(lengths)
    groups: list[tuple[list[int], RowStates | None]] = []
    final: Tensor | None = None
    for rows in rows_of_one_length(lengths, lambda length: found.most_rows(length, whole)):
        states, left = run_rows(lm, [prompts[row] for row in rows], keep=not found.why_not)
        if final is None:
            final = states.new_empty(len(prompts), states.shape[-1])
        final[rows] = states[:, -1]
        groups.append((rows, left))
    assert final is not None
    require_finite(lm, final)
    return UnpaddedPrompts(prompts, final, groups)


def continue_unpadded(
    lm: LanguageModel, run: UnpaddedPrompts, first: Tensor, limit: int, stop: Tensor, pick: Pick
) -> list[list[int]]:
    """Continue every prompt by the tokens that ``pick`` chooses; arguments and result are those of
    :func:`workbench.elicit.generate.continued`.
    """
    out: list[list[int]] = [[int(token)] for token in first]
    ends = stop.tolist()
    for rows, states in run.groups:
        live = list(rows)
        for step in range(limit - 1):
            going = [place for place, row in enumerate(live) if not ends[out[row][-1]]]
            if not going:
                break
            if len(going) < len(live):
                live = [live[place] for place in going]
                states = None if states is None else states.select(torch.tensor(going))
            require_room(lm, len(run.prompts[live[0]]) + step + 1)
            final, states = _next(lm, run, out, live, states)
            for row, token in zip(
                live, pick(final, torch.tensor(live), step).tolist(), strict=True
            ):
                out[row].append(token)
    return out


def _next(
    lm: LanguageModel,
    run: UnpaddedPrompts,
    out: Sequence[Sequence[int]],
    live: Sequence[int],
    states: RowStates | None,
) -> tuple[Tensor, RowStates | None]:
    """Return the states [rows, width] after the final norm at the last token of ``live`` rows."""
    if states is None:
        strings = [[*run.prompts[row], *out[row]] for row in live]
        final, _ = run_rows(lm, strings, keep=False)
    else:
        final, states = run_rows(lm, [[out[row][-1]] for row in live], states)
    require_finite(lm, final[:, -1])
    return final[:, -1], states
