"""Draw dropout from a pool of masks, for adapters trained on processors without an accelerator.

torch draws one Bernoulli number per element on one thread; on LoRA's inputs that costs as much as a
third of a training step. Here a pool of mask values is drawn now and then, and each call multiplies
by a stretch of it that begins at a random place. Every element is still dropped with probability
``p`` (rounded to 1/65536) and independently of the others in its call; calls that share a pool may
reuse stretches of one another's masks.

The pool and the places come from a generator seeded by torch's, so torch's saved random state
decides what a resumed run draws as long as it resumes at a pool's beginning; :class:`MaskPool`
therefore starts a new pool for every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 65536
POOL = 1 << 20


class MaskPool:
    """A pool of mask values 0 or 1 / (1 - p), shared by all dropout layers of a model."""

    def __init__(self, p: float) -> None:
        self.threshold = round(p * LEVELS)
        self._masks: dict[torch.dtype, Tensor] = {}
        self._places = np.random.Generator(np.random.SFC64(0))

    def renew(self, size: int) -> None:
        """Draw a new pool of at least ``size`` values."""
        seed = int(torch.randint(2**31 - 1, (), dtype=torch.int64))
        self._places = np.random.Generator(np.random.SFC64(seed))
        draws = np.frombuffer(self._places.bytes(2 * size), dtype=np.uint16)
        keep = torch.from_numpy(draws >= self.threshold)
        self._masks = {torch.float32: keep.to(torch.float32) * (LEVELS / (LEVELS - self.threshold))}

    def state(self) -> Any:
        """Return the state from which the places of the next masks follow, in the same pool."""
        return self._places.bit_generator.state

    def put_state(self, state: Any) -> None:
        """Draw the places of the next masks from a state again."""
        self._places.bit_generator.state = state

    def mask(self, x: Tensor) -> Tensor:
        """Return a mask of the shape and dtype of ``x``."""
        count = x.numel()
        if torch.float32 not in self._masks or len(self._masks[torch.float32]) < 2 * count:
            self.renew(max(POOL, 2 * count))
        if x.dtype not in self._masks:
            self._masks[x.dtype] = self._masks[torch.float32].to(x.dtype)
        pool = self._masks[x.dtype]
        start = int(self._places.integers(0, len(pool) - count + 1))
        return pool[start : start + count].view(x.shape)

    def again(self) -> AbstractContextManager[None]:
        """Return a context in which the masks that are drawn from now on are drawn once more."""
        return self._as_it_was(self._masks, self._places, self._places.bit_generator.state)

    @contextmanager
    def _as_it_was(
        self, masks: dict[torch.dtype, Tensor], places: np.random.Generator, state: Any
    ) -> Iterator[None]:
        now = self._masks, self._places, self._places.bit_generator.state
        self._masks, self._places = masks, places
        self._places.bit_generator.state = state
        try:
            yield
        finally:
            self._masks, self._places = now[:2]
            self._places.bit_generator.state = now[2]


class PooledDropout(nn.Module):
    """Inverted dropout with masks from a pool."""

    def __init__(self, pool: MaskPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.pool.threshold == 0:
            return x
        return x * self.pool.mask(x)


def pool_of(model: nn.Module) -> MaskPool | None:
    """Return the pool that the dropout layers of ``model`` draw from; None without one."""
    found = (module for module in model.modules() if isinstance(module, PooledDropout))
    layer = next(found, None)
    return None if layer is None else layer.pool


@contextmanager
def pooled_dropout(model: nn.Module, p: float) -> Iterator[MaskPool]:
    """Replace the dropout in every LoRA layer of ``model`` inside the block; renew the pool before
    each step.
    """
    pool = MaskPool(p)
    replaced: list[tuple[nn.ModuleDict, str, nn.Module]] = []
    for module in model.modules():
        dropouts = getattr(module, "lora_dropout", None)
        if isinstance(dropouts, nn.ModuleDict):
            replaced += [
                (dropouts, name, dropout)
                for name, dropout in dropouts.items()
                if isinstance(dropout, nn.Dropout)
            ]
    for dropouts, name, dropout in replaced:
        pooled = PooledDropout(pool)
        pooled.train(dropout.training)
        dropouts[name] = pooled
    try:
        yield pool
    finally:
        for dropouts, name, dropout in replaced:
            dropout.train(dropouts[name].training)
            dropouts[name] = dropout
