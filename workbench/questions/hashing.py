"""Draw by hash: the same on every machine, whatever the order of the set and the version of any
generator.

A key (a text that names the purpose, the seed and the question) decides everything. Values are
uniform up to the 48 bits kept of a SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator


def hash_fraction(key: str) -> float:
    """Return a number in [0, 1) fixed by ``key``."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def hash_permutation(size: int, key: str) -> Iterator[int]:
    """Yield 0 to ``size`` - 1 in an order fixed by ``key``, each once. It costs one hash for each
    number taken, not for each number there is.
    """
    moved: dict[int, int] = {}
    for place in range(size):
        other = place + int(hash_fraction(f"{key}:{place}") * (size - place))
        yield moved.get(other, other)
        moved[other] = moved.get(place, place)
