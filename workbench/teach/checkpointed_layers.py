"""Compute layers again on the way back instead of keeping what is inside of them (gradient
checkpointing, Chen et al. 2016, arXiv 1604.06174).

A step then keeps the residual stream between the layers above the adapter's first, and one layer's
inside at a time, for about a third more products. Losses and gradients are the same to rounding. A
layer must be computed again as it was: with the columns that are skipped in it, with the masks of
the adapter's dropout, and with the keys and values that precede its tokens. transformers' own
switch would drop those keys and values.

The one row that all prompts share (:mod:`workbench.teach.training_forward`) is not checkpointed,
because its pass makes keys and values that the next one reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from workbench.models import LanguageModel
from workbench.teach.dropout import pool_of

Again = Callable[[], AbstractContextManager[Any]]
"""A function that gives the context in which a layer's inside was computed."""


@contextmanager
def checkpoint_layers(lm: LanguageModel, first: int, again: Again) -> Iterator[None]:
    """Let the layers from ``first`` on keep only their inputs inside the block.

    Args:
        again: gives, for each layer that is computed again, what stands around its computation.
    """
    pool = pool_of(lm.model)

    def contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), _both(again, None if pool is None else pool.again())

    with ExitStack() as stack:
        for layer in lm.layers()[first:]:
            whole = layer.forward
            kept = layer.__dict__.get("forward")
            layer.__dict__["forward"] = partial(
                checkpoint, whole, use_reentrant=False, context_fn=contexts
            )
            stack.callback(_put_back, layer, kept)
        yield


@contextmanager
def _both(again: Again, masks: AbstractContextManager[Any] | None) -> Iterator[None]:
    with again(), masks or nullcontext():
        yield


def _put_back(layer: nn.Module, kept: Any) -> None:
    if kept is None:
        del layer.__dict__["forward"]
    else:
        layer.__dict__["forward"] = kept
