"""Say how many tokens a model reads, and refuse prompts that are longer.

A model's configuration names the positions it was made for. Beyond them learned positions end, and
rotary ones are unlike any the model has seen; the host library mostly does not say so. Two kinds of
rotary positions (``longrope`` and ``dynamic``) take other factors for every token of a pass once
one row of it is longer than the model's original length; rows in a batch with a long row, tokens
packed after a prompt, or keys computed before and kept, would then give other numbers than alone,
and under ``dynamic`` a later short pass may still use the long factors. For these the original
length is the limit, so that every pass is computed with the factors of a plain pass over its row.

:func:`require_room_for` is asked before every pass, with the positions of all its tokens: those of
packed branches, of a scale's tree and of generated text are counted like those of prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel

_BY_LENGTH = ("longrope", "dynamic", "su")


@dataclass(frozen=True)
class Room:
    """The limit of a row's tokens, None where nothing limits them, and what sets it."""

    most: int | None
    why: str


def room_of(lm: LanguageModel) -> Room:
    """Return how many tokens a row may have, from the model's configuration."""
    config = lm.config
    context = getattr(config, "max_position_embeddings", None)
    room = Room(int(context), "as its configuration says") if context else Room(None, "")
    for rope in _ropes(config):
        kind = str(rope.get("rope_type") or rope.get("type") or "")
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        limit = int(original or context or 0)
        if (
            any(name in kind for name in _BY_LENGTH)
            and limit
            and (room.most is None or limit < room.most)
        ):
            room = Room(
                limit,
                f"because its rotary positions ({kind}) take other factors for all rows of a "
                "longer pass",
            )
    return room


def require_room(lm: LanguageModel, length: int, what: str = "a row of a pass") -> None:
    """Refuse ``length`` tokens where they are more than the model reads.

    Raises:
        WorkbenchError: when they are.
    """
    room = room_of(lm)
    if room.most is not None and length > room.most:
        raise WorkbenchError(
            f"{what} takes {length} tokens and the model {lm.name!r} reads at most {room.most}, "
            f"{room.why}: shorten the question or "
            "leave it out"
        )


def require_room_for(
    lm: LanguageModel, positions: Tensor | None, columns: int, kept: int = 0
) -> None:
    """Refuse a pass that holds a token at a position the model does not read.

    Args:
        positions: of the pass's tokens, counted from 0 in each row; None for one after another.
        columns: of the pass; ``kept`` of them come before it and are cached.

    Raises:
        WorkbenchError: for such a pass.
    """
    room = room_of(lm)
    # Counted exactly, for which a device has to be waited for, only where it may matter.
    if room.most is not None and columns + kept > room.most:
        longest = columns + kept if positions is None else int(positions.max()) + 1
        require_room(lm, longest)


def _ropes(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the settings of rotary positions: one for all layers, or one for each kind of layer."""
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    if isinstance(found, Mapping):
        yield found
        yield from (part for part in found.values() if isinstance(part, Mapping))
