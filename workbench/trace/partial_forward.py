"""Run passes that stop after a layer, and passes that start there from the states of the first.

What is computed below the first layer that is trained or patched is the same in every pass over the
same tokens. :func:`forward_to_layer` computes it once; :func:`forward_from_layer` lets a later pass
begin with it, so that a pass costs the layers above. Attention in those layers needs keys and
values of theirs alone, so nothing else of the lower part has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.dispatch import keeps_weights_away, layer_devices
from workbench.models.moved_bytes import moved
from workbench.trace.checks import require_layer
from workbench.trace.decoder import decode, stop_with
from workbench.trace.hooks import bypass_layers, on_outputs


def forward_to_layer(
    lm: LanguageModel, layer: int, tokens: Tensor, positions: Tensor, mask: Any, cache: Any = None
) -> Tensor:
    """Run a pass that ends after ``layer``; return the residual stream there, [rows, columns,
    width].

    Where a device map keeps weights in memory or on disk the pass goes to the end, because stopping
    it would skip the hooks that put those weights away again.
    """
    require_layer(lm, layer)
    seen: list[Tensor] = []

    def see(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return hidden

    with on_outputs(lm, {layer: see if keeps_weights_away(lm.base()) else stop_with(see)}):
        decode(lm, tokens, positions, mask, cache)
    return seen[0]


@contextmanager
def forward_from_layer(lm: LanguageModel, first: int, states: Tensor | None) -> Iterator[None]:
    """Let passes inside the block begin at layer ``first`` with ``states`` [rows, columns, width].
    With layer 0 they run unchanged.

    The tokens of such a pass are still embedded, which costs a look-up, and the result is not used.
    """
    if first == 0 or states is None:
        yield
        return
    require_layer(lm, first)
    given = moved(states, layer_devices(lm)[first])
    with (
        bypass_layers(lm, first),
        on_outputs(lm, {first - 1: lambda hidden: given}),
    ):
        yield
