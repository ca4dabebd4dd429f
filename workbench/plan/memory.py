"""Say what a stage takes in memory, part by part.

On the device that computes: weights, the keys and values of the batch that runs, what a pass needs
besides (states, MLP, masks, logits), and the adapter with its gradients and the optimiser's two
moments. In main memory: keys and values that are kept between stages, and recorded states. On a
processor both are one memory.

What a pass needs is an estimate of what the engine's code allocates at once, and what a process
takes whatever the model is one number for all; everything else is counted. What the allocator
cannot use of freed blocks between held ones is in no plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.models.unembed import CHUNK_BYTES
from workbench.plan.forwards import Forward
from workbench.plan.number_formats import NumberFormats
from workbench.plan.shape import DecoderShape

ADAPTER_BYTES = 16
"""Of a trained weight: itself, its gradient and two moments, in float32."""
SAVED_WIDTHS, SAVED_MLPS = 10, 4
"""Tensors of the residual stream's and of the MLP's width that a layer keeps for its backward."""
LOGITS = 3
"""Tensors of logits that are there while they are reduced: themselves, their distances from the
largest and the exponentials of these.
"""
PROCESS_BYTES = 60e6
"""Of a process with any model, beyond its libraries: tokenizer, tables, and libraries' code that is
read from its files as it is first used. Kernels come on top.
"""
OPEN_WIDTHS, OPEN_MLPS = 5, 3
"""The same that are there at once in a forward."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one stage.

    Attributes:
        weights, cache, working, training: on the device that computes.
        kept, states: in main memory, and ``process``, what Python and kernels take besides.
        disk: recorded states that go to the disk.
    """

    weights: float
    cache: float
    working: float
    training: float
    kept: float
    states: float
    disk: float = 0.0
    process: float = PROCESS_BYTES

    @property
    def device(self) -> float:
        """Bytes on the device that computes."""
        return self.weights + self.cache + self.working + self.training

    @property
    def main(self) -> float:
        """Bytes in main memory, besides."""
        return self.kept + self.states + self.process

    @property
    def total(self) -> float:
        """Bytes of both."""
        return self.device + self.main


def cache_bytes(each: Forward, of_token: int, of_open_token: int) -> float:
    """Return the bytes of keys and values of the batch of a pass: of those that the batch goes on
    holding, else of the kept ones that it reads.
    """
    return each.rows * max(each.held * of_open_token, each.keys * of_token)


def working_bytes(each: Forward, shape: DecoderShape, formats: NumberFormats) -> float:
    """Return the bytes that a pass needs besides weights, keys and values."""
    columns = each.rows * each.columns
    size = 4 if each.float32 else formats.states
    attention = (shape.heads + 2 * shape.key_value_heads) * shape.head_size
    wide = OPEN_WIDTHS * shape.width + max(OPEN_MLPS * shape.mlp, 2 * attention)
    mask = columns * each.keys * (1 + size)
    # Those of a batch's ends are made at once, those of many places a chunk after the other.
    chunk = max(each.rows, CHUNK_BYTES // (4 * shape.vocabulary), 1)
    logits = LOGITS * 4 * min(each.logits, chunk) * shape.vocabulary
    found = columns * wide * size + mask + logits
    found += each.rows * each.recorded * shape.layers * shape.width * size
    if each.backward:
        saved = SAVED_WIDTHS * shape.width + SAVED_MLPS * shape.mlp + attention
        pairs = 2 * shape.heads * columns * each.keys
        found += each.layers * (columns * saved + pairs) * size
        found += 2 * 4 * each.logits * shape.vocabulary
    return found


def peak_pass(
    forwards: Sequence[Forward], shape: DecoderShape, formats: NumberFormats
) -> tuple[float, float]:
    """Return the bytes of keys and values, and of everything else, of the pass that needs most."""
    of_token = formats.of_token(shape), formats.of_open_token(shape)
    pairs = {
        (cache_bytes(each, *of_token), working_bytes(each, shape, formats))
        for each in set(forwards)
    }
    return max(pairs, key=sum, default=(0.0, 0.0))


def recorded_states_size(
    rows: int, shape: DecoderShape, positions: int, most: int, in_shards: float
) -> tuple[float, float]:
    """Return the bytes of recorded states in main memory, and on the disk.

    Args:
        most: bound beyond which they go to the disk.
        in_shards: bytes of an entry there.
    """
    entries = rows * shape.layers * positions * shape.width
    if 4 * entries <= most:
        return 4.0 * entries, 0.0
    return 0.0, in_shards * entries
