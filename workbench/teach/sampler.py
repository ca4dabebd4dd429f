"""Choose the order in which a training sees its examples.

Rows of a batch are padded to its longest, so rows of similar length are put together, but only
roughly: length often tells the domain, and a step that sees only one domain trains the level of
that domain. So the rows are cut into a few windows by length, and within its window a row may meet
any other. Batches come in random order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

WINDOWS = 4
LEAST_GAIN = 0.02
# Of a seed and the next one: neighbouring seeds share no epoch's order.
EPOCHS_APART = 1_000_003


class SeededOrder(Sampler[int]):
    """The order of rows with prompts of ``sizes`` tokens, which depends on sizes, batch size, seed
    and epoch alone.

    The Trainer's sampler draws from the global random state, which a run resumed within an epoch
    does not have. Where windows would not save a fiftieth of the tokens, the order is plainly
    random. Rows left over from whole batches come last.
    """

    def __init__(self, sizes: Sequence[int], batch: int, seed: int) -> None:
        self.sizes, self.batch, self.seed = np.asarray(sizes, dtype=np.int64), batch, seed
        self.epoch = 0
        drawn = np.random.default_rng(seed).permutation(len(self.sizes))
        windowed = self._cost(self._windowed(drawn, np.random.default_rng(seed)))
        self.windows = WINDOWS if windowed < (1 - LEAST_GAIN) * self._cost(drawn) else 1

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch; the Trainer calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * EPOCHS_APART + self.epoch)
        drawn = torch.randperm(len(self.sizes), generator=generator).numpy()
        if self.windows == 1:
            return iter(drawn.tolist())
        return iter(self._windowed(drawn, np.random.default_rng([self.seed, self.epoch])).tolist())

    def _windowed(self, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        whole = len(drawn) - len(drawn) % self.batch
        rows, left = drawn[:whole], drawn[whole:]
        ranked = rows[np.argsort(self.sizes[rows], kind="stable")]
        windows = [rng.permutation(window) for window in np.array_split(ranked, WINDOWS)]
        batches = np.concatenate(windows).reshape(-1, self.batch)
        return np.concatenate([rng.permutation(batches).reshape(-1), left])

    def _cost(self, order: np.ndarray) -> int:
        """Return the tokens of all batches with their padding."""
        batches = [
            self.sizes[order[at : at + self.batch]] for at in range(0, len(order), self.batch)
        ]
        return sum(len(batch) * int(batch.max()) for batch in batches)


class WholeBatches(Sampler[int]):
    """A :class:`SeededOrder` whose last batch is filled up for several processes, each of which
    makes every step. What fills it up counts for nothing: numbers from ``len(order.sizes)`` on,
    each that many above a row.
    """

    def __init__(self, order: SeededOrder) -> None:
        self.order = order

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch; the Trainer calls this before each."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) + -len(self.order) % self.order.batch

    def __iter__(self) -> Iterator[int]:
        rows = list(self.order)
        yield from rows
        for place in range(len(self) - len(rows)):
            yield len(rows) + rows[place % len(rows)]
