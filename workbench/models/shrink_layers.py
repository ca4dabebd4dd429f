"""Choose the few layers of a family that show every kind of layer it has.

A layer's kind is everything that the configuration says of it: its entries in the lists over
layers (``layer_types``, ``no_rope_layers`` ...) and whether a list of layer numbers
(``mlp_only_layers``, ``full_attn_idxs`` ...) names it. The first layer of every kind is taken,
filled up with the earliest others, in their order, and every list is cut to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

NUMBERS = re.compile(r"\w*(layers|_idxs|_ids|_indexes|_indices)")


def _numbers_layers(name: str, value: Any, count: int) -> bool:
    """Whether an entry lists numbers of layers."""
    return (
        isinstance(value, list | tuple)
        and bool(NUMBERS.fullmatch(name))
        and "token" not in name
        and all(type(item) is int and 0 <= item < count for item in value)
        and list(value) == sorted(set(value))
    )


def choose(kinds: Sequence[Any], least: int) -> list[int]:
    """Return the numbers of the layers to keep: at least ``least``, the first of every kind."""
    kept = list({kind: at for at, kind in reversed(list(enumerate(kinds)))}.values())
    kept += [at for at in range(len(kinds)) if at not in kept][: max(0, least - len(kept))]
    return sorted(kept)


def shrink_layers(
    written: dict[str, Any],
    small: dict[str, Any],
    counts: Sequence[str],
    least: int,
    exactly: bool = False,
) -> dict[str, Any]:
    """Return the entries that count or list layers, for as few layers as show every kind.

    Args:
        written: The default configuration's entries.
        small: The same entries, shrunk each by itself.
        counts: The names of those that count layers.
        least: How many layers there are at least; one stays one.
        exactly: Take no more layers than that, though a kind may be missing.
    """
    found: dict[str, Any] = {}
    counted = {name: written[name] for name in counts if type(written[name]) is int}
    for counter, count in (counted or {"": len(written.get("layers_block_type", ()))}).items():
        numbered = [name for name, value in written.items() if _numbers_layers(name, value, count)]
        listed = [
            name
            for name, value in written.items()
            if isinstance(value, list | tuple) and len(value) == count and name not in numbered
        ]
        if not (listed or numbered):
            if counter:
                found[counter] = least if count > 1 else count
            continue
        kinds = [
            repr([*(written[name][at] for name in listed), *(at in written[n] for n in numbered)])
            for at in range(count)
        ]
        kept = choose(kinds, least)[: least if exactly else None]
        if counter:
            found[counter] = len(kept)
        for name in listed:
            found[name] = type(written[name])(small[name][at] for at in kept)
        for name in numbered:
            found[name] = type(written[name])(
                new for new, at in enumerate(kept) if at in written[name]
            )
    return found
