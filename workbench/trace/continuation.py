"""Check, on the model itself, that strings continued from copies of kept states are whole strings.

A family whose layers carry a state from token to token shares a prompt's beginning between branches
only if its layers take that state up again: with one token or with several, from a copy, and
without touching the original. Some kernels drop the state where several tokens follow it, or bound
the time step only there; some layers keep it where no copy reaches it; and nothing raises an error.
So before the first use the longest prompt at hand is run whole and in pieces, and the states after
the final norm are compared. Longer prompts than twice that are checked anew, because attention
windows may be shorter than they are.

A difference is measured as the norm of what differs over the norm of the states, and its bound
stands above rounding. In bfloat16 and float16 that hides small differences of kind, such as that of
time steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from workbench.models import LanguageModel
from workbench.trace.row_states import kept_rows, run_rows, state_name

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-5}
LOW_PRECISION_TOLERANCE = 0.1
SHORTEST = 8
STATE_BYTES = 2**30
"""The most bytes of kept states that one pass continues from."""


@dataclass(frozen=True)
class Continuation:
    """How a model continues from copies of kept states.

    Attributes:
        length: tokens of the string it was checked on.
        bytes_per_row: what a row of that length keeps.
        several: whether several tokens can continue in one pass, not only one.
        why_not: what differs where not even one token can; empty where it can.
    """

    length: int
    bytes_per_row: int = 0
    several: bool = True
    why_not: str = ""

    def most_rows(self, length: int, tokens_per_forward: int) -> int:
        """Return how many strings of ``length`` tokens a pass may hold; one at least."""
        room = min(tokens_per_forward // length, STATE_BYTES // max(1, self.bytes_per_row))
        return max(1, room)


_checked: WeakKeyDictionary[nn.Module, dict[object, Continuation]] = WeakKeyDictionary()


def continuation_of(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> Continuation:
    """Return how the model continues strings as long as the longest of ``prompts``, from a check on
    it where none of that length was made. A model that does not is warned of once.
    """
    longest = max(prompts, key=len)
    known = _checked.setdefault(lm.base(), {})
    found = known.get(lm.precision)
    if found is None or (not found.why_not and len(longest) > 2 * found.length):
        found = check_continuation(lm, longest)
        known[lm.precision] = found
    if found.why_not:
        _warn(lm, found.why_not)
    return found


def check_continuation(lm: LanguageModel, prompt: Sequence[int]) -> Continuation:
    """Run ``prompt`` and a string that parts from it before its last two tokens, whole and in
    pieces; return what was found.
    """
    tokens = [*prompt] * (1 + SHORTEST // len(prompt)) if len(prompt) < SHORTEST else [*prompt]
    both = [tokens, [*tokens[:-2], *(token - 1 if token else 1 for token in tokens[-2:])]]
    if not state_name(lm):
        return Continuation(len(tokens), several=False, why_not="its decoder takes no state")
    whole, _ = run_rows(lm, both, keep=False)
    try:
        why_not, size = _one_by_one(lm, both, whole)
        several = not why_not and not _together(lm, both, whole)
    except Exception as error:  # whatever a host library's layer raises where it cannot continue
        why_not = f"continuing fails with {error!r}"
        return Continuation(len(tokens), several=False, why_not=why_not)
    return Continuation(len(tokens), size, several, why_not)


def _one_by_one(lm: LanguageModel, both: Sequence[Sequence[int]], whole: Tensor) -> tuple[str, int]:
    """Return what differs where the last two tokens of ``both`` continue one at a time, and the
    bytes a row then keeps.
    """
    shared = kept_rows(lm, [both[0][:-2]])
    first, states = run_rows(lm, [row[-2:-1] for row in both], shared.select(torch.tensor([0, 0])))
    assert states is not None
    order = torch.tensor([1, 0, 1])
    last, states = run_rows(lm, [both[row][-1:] for row in order.tolist()], states.select(order))
    assert states is not None
    untouched, _ = run_rows(lm, [both[0][-2:-1]], shared)
    pairs = ((first, whole[:, -2:-1]), (last, whole[order, -1:]), (untouched, whole[:1, -2:-1]))
    return _difference(lm, pairs), states.bytes_per_row


def _together(lm: LanguageModel, both: Sequence[Sequence[int]], whole: Tensor) -> str:
    """Return what differs where the second halves of ``both`` continue in one pass."""
    half = len(both[0]) // 2
    shared = kept_rows(lm, [both[0][:half]])
    rests, _ = run_rows(lm, [row[half:] for row in both], shared.select(torch.tensor([0, 0])))
    untouched, _ = run_rows(lm, [both[0][half:]], shared)
    return _difference(lm, ((rests, whole[:, half:]), (untouched, whole[:1, half:])))


def _difference(lm: LanguageModel, pairs: Sequence[tuple[Tensor, Tensor]]) -> str:
    for found, expected in pairs:
        if found.shape != expected.shape:  # some layers mix rows where one token has a state
            return f"its states are then {tuple(found.shape)}, not {tuple(expected.shape)}"
        away = float((found - expected).float().norm() / expected.float().norm())
        if not away <= _tolerance(lm):
            return f"its states then differ from the whole string's by {away:.1e} of their norm"
    return ""


def _tolerance(lm: LanguageModel) -> float:
    low = lm.precision != "float32" or lm.dtype not in TOLERANCE
    return LOW_PRECISION_TOLERANCE if low else TOLERANCE[lm.dtype]


def _warn(lm: LanguageModel, why_not: str) -> None:
    warning = (
        f"{lm.architecture.family} does not continue from copies of its state, so every branch and "
        f"every path is run as a whole string: {why_not}."
    )
    if warning not in lm.warned:
        lm.warned.add(warning)
        warnings.warn(warning, stacklevel=4)
