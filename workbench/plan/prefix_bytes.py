"""Say which rows a bounded cache of keys and values will hold, without computing any.

The bound is that of :class:`workbench.trace.prefix_cache.PrefixCache`: rows are kept in the order
they come, each without the beginning that all share, until one does not fit; from then on none is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from workbench.trace.batches import plan_batches


@dataclass(eq=False)
class PrefixBytes:
    """The bytes that a cache holds.

    Attributes:
        most: bytes that it and its sibling may hold together.
        of_token: bytes of one token's keys and values.
        shared: tokens that are kept once for all rows.
        sibling: the cache whose bytes count too.
        largest: the most bytes that both held at a time, since it was last set.
    """

    most: int
    of_token: int
    shared: int
    sibling: PrefixBytes | None = None
    held: int = 0
    largest: int = 0
    full: bool = False
    begun: bool = False
    rows: dict[int, int] = field(default_factory=dict)

    def __contains__(self, row: int) -> bool:
        return row in self.rows

    def keep(self, rows: Iterable[int], tokens: Sequence[int]) -> None:
        """Keep the first ``tokens`` of every row, as far as there is room."""
        for row, count in zip(rows, tokens, strict=True):
            own = count - self.shared if count > self.shared else count
            size = own * self.of_token
            if self.full or row in self.rows:
                continue
            if self.together() + size > self.most:
                self.full = True
                continue
            self.rows[row] = size
            self.held += size
            self.largest = max(self.largest, self.together())

    def together(self) -> int:
        """Return the bytes that it and its sibling hold."""
        return self.held + (0 if self.sibling is None else self.sibling.held)

    def drop(self, rows: Iterable[int]) -> None:
        """Drop ``rows`` where they are kept."""
        for row in rows:
            self.held -= self.rows.pop(row, 0)

    def begin(self) -> int:
        """Return the tokens of the pass that computes the shared beginning: 0 after the first
        time.
        """
        if self.begun or not self.shared:
            return 0
        self.begun = True
        self.held += self.shared * self.of_token
        self.largest = max(self.largest, self.together())
        return self.shared

    def missing(
        self, rows: Sequence[int], tokens: Sequence[int], tokens_per_pass: int
    ) -> list[list[int]]:
        """Return the lengths of the rows that are computed anew, pass by pass."""
        lengths = [count for row, count in zip(rows, tokens, strict=True) if row not in self.rows]
        if not lengths:
            return []
        return [
            [lengths[place] for place in batch] for batch in plan_batches(lengths, tokens_per_pass)
        ]
