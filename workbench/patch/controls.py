"""Define the effect and its controls as one table of sweeps.

Every condition patches the same questions at one site and reads the expected confidence. They
differ in which run is patched, where, and whose state is written:

The patched site is the confidence position and, where a number takes several tokens, the tokens
that continue it.

- own_tuned: the tuned model's state of the same question into the base model (the effect)
- other_tuned: the tuned model's state of another question (gives *following*)
- other_base: the base model's state of another question (no change of level)
- random_vector: the base state plus a random direction as long as the own donor's difference
- random_position: the tuned model's own state, at a random earlier token that the adapter acts on
- own_base: the base model's own state (the noise floor)
- reverse: the base model's state into the tuned model

Patching tuned into base shows what the tuned state suffices for; the reverse shows what the tuned
model needs at that token. They answer different questions and need not mirror each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Rows
from workbench.elicit.conversation import Conversation
from workbench.elicit.format import Format
from workbench.errors import WorkbenchError
from workbench.patch.ablation_values import matched_noise

Donor = Literal["own_tuned", "other_tuned", "own_base", "other_base", "random_vector"]


@dataclass(frozen=True)
class Condition:
    """One row of the table above. ``all_layers`` false: only the control layers are swept."""

    name: str
    donor: Donor
    into_tuned: bool = False
    random_position: bool = False
    all_layers: bool = True

    @property
    def own_state(self) -> bool:
        """Whether runs are patched with their own states, to see what rounding alone moves."""
        return self.donor == "own_base" and not self.into_tuned

    @property
    def other_question(self) -> bool:
        """Whether the donor is another question's run."""
        return self.donor in ("other_tuned", "other_base")


CONDITIONS = (
    Condition("own_tuned", "own_tuned"),
    Condition("other_tuned", "other_tuned"),
    Condition("random_vector", "random_vector"),
    Condition("reverse", "own_base", into_tuned=True),
    Condition("random_position", "own_tuned", random_position=True, all_layers=False),
    Condition("other_base", "other_base", all_layers=False),
    Condition("own_base", "own_base", all_layers=False),
)


@dataclass(frozen=True)
class Recorded:
    """The states of all items: [items, layers, 2 + nodes, width].

    Place 0 is the random position, 1 the confidence position, the others the number's further
    tokens (trie nodes).
    """

    base: Tensor
    tuned: Tensor

    def __post_init__(self) -> None:
        if self.base.shape != self.tuned.shape or self.base.dim() != 4 or self.base.shape[2] < 2:
            raise WorkbenchError(
                "Base and tuned states must share one [items, layers, 2 + nodes, width] shape."
            )


def donor_states(
    condition: Condition,
    states: Recorded,
    items: NDArray[np.int64],
    partner: NDArray[np.int64],
    seed: int,
) -> Tensor:
    """Return the states [items, layers, 1 or 1 + nodes, width] that the condition writes.
    ``partner`` [all items] names other questions.
    """
    at = slice(0, 1) if condition.random_position else slice(1, None)
    rows, others = torch.as_tensor(items), torch.as_tensor(partner[items])
    if condition.donor == "own_tuned":
        return states.tuned[rows, :, at]
    if condition.donor == "other_tuned":
        return states.tuned[others, :, at]
    if condition.donor == "own_base":
        return states.base[rows, :, at]
    if condition.donor == "other_base":
        return states.base[others, :, at]
    return matched_noise(states.base[:, :, at], states.tuned[:, :, at], seed)[rows]


def patched_states(condition: Condition, states: Recorded, items: NDArray[np.int64]) -> Tensor:
    """Return the states that the condition overwrites, in the shape of :func:`donor_states`."""
    at = slice(0, 1) if condition.random_position else slice(1, None)
    own = states.tuned if condition.into_tuned else states.base
    return own[torch.as_tensor(items), :, at]


def donor_readouts(
    condition: Condition,
    base: NDArray[np.float64],
    tuned: NDArray[np.float64],
    partner: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the readout [items] of the run each item's donor comes from. For a random vector it is
    the tuned readout of the same question.
    """
    return {
        "own_tuned": tuned,
        "other_tuned": tuned[partner],
        "own_base": base,
        "other_base": base[partner],
        "random_vector": tuned,
    }[condition.donor]


def derangement(items: int, seed: int) -> NDArray[np.int64]:
    """Return a random pairing in which no item is its own partner: [items].

    Raises:
        WorkbenchError: for fewer than two items.
    """
    if items < 2:
        raise WorkbenchError(
            "Donors from other questions need at least two questions; raise patch.n_questions."
        )
    order = np.random.default_rng(seed).permutation(items)
    partner = np.empty(items, dtype=np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def swept_layers(condition: Condition, layers: Sequence[int], count: int) -> list[int]:
    """Return those of ``layers`` that a condition is swept at: all, or ``count`` for a control."""
    return list(layers) if condition.all_layers else control_layers(layers, count)


def layers_run(condition: Condition, swept: Sequence[int], first: int) -> list[int]:
    """Return the layers that are run: below the adapter's ``first`` layer, both runs have the same
    states of a question. The last one is run where none is left.
    """
    if condition.own_state or condition.other_question:
        return list(swept)
    return [layer for layer in swept if layer >= first] or list(swept[-1:])


def control_layers(layers: Sequence[int], count: int) -> list[int]:
    """Return ``count`` layers spread evenly over ``layers``, first and last included."""
    chosen = np.unique(np.linspace(0, len(layers) - 1, min(count, len(layers))).round().astype(int))
    return [layers[i] for i in chosen]


def sweep_positions(
    tokenizer: Any,
    fmt: Format,
    conversations: Sequence[Conversation],
    reply: int | None,
    seed: int,
) -> Rows:
    """Return the token indices [items, 2] of the patches: a random earlier token that the adapter
    acts on, and the confidence position.

    An adapter on the reply alone leaves everything before it as it is, so a patch there changes
    nothing by construction. Such a token is chosen only where the reply has no token but the
    confidence position.

    Args:
        reply: how many of a conversation's last tokens the adapter acts on, None for all.
    """
    rng = np.random.default_rng(seed)
    if reply is not None:
        starts = max(2, reply)
        return np.array(
            [
                [rng.integers(c.confidence + 1 - starts, c.confidence), c.confidence]
                for c in conversations
            ]
        )
    system = len(tokenizer(fmt.system, add_special_tokens=False)["input_ids"])
    ends = [c.position("answer_end") for c in conversations]
    return np.array(
        [
            [rng.integers(min(system, end), end + 1), c.confidence]
            for end, c in zip(ends, conversations, strict=True)
        ]
    )
