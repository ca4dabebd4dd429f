"""Write a planted mechanism into the weights of a transformer; see :mod:`.planted_models` for what
it does and why nothing else carries the clue.

Amounts are set for a token whose state is about as long as an embedding; what random layers add
makes a planted logit somewhat smaller than asked for, never of another sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.bench.planted_tokens import Words

HEADS = 4
RESERVED = (
    "clue",
    "clue twin",
    "distractor",
    "distractor twin",
    "clue key",
    "distractor key",
    "answer key",
    "start key",
    "asks clues",
    "asks answer",
    "asks start",
    "number goes on",
    "number ends",
)
"""Directions that random weights do not touch."""
TAG, BODY, GAIN = 0.4, 0.6, 0.8
"""Lengths of a tag and of a token's random part, as shares of sqrt(width), and how much a copy
keeps.
"""
SCORE, MASS = 60.0, 8.0
"""Attention's score of what a planted head looks for, and the logit of what must come next."""
RANDOM_OUT, RANDOM_LOGIT = 0.4, 0.5


@dataclass(frozen=True, eq=False)
class Mechanism:
    """What is planted.

    Attributes:
        family, width, layers: of the model.
        first, second: layers whose heads copy.
        readers: which of "question end" and "answer end" the clue is copied to.
        carried: whether the second head copies the clue as well as the distractor.
        bias: [first tokens] logit of each first token of a number besides MASS.
        clue, distractor: [first tokens] how far a logit moves with cos t - sin t.
    """

    family: str
    width: int
    layers: int
    first: int
    second: int
    readers: tuple[str, ...]
    carried: bool
    bias: Floats
    clue: Floats
    distractor: Floats


def plant_weights(model: Any, mechanism: Mechanism, words: Words, axes: Tensor) -> None:
    """Overwrite the weights of ``model``: random ones, drawn from torch's generator, that neither
    read nor write the reserved ``axes`` [len(RESERVED), width], and the mechanism.
    """
    _Planting(model, mechanism, words, axes).plant()


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's weights as views [out, in]: of attention, and what of its MLP reads and writes."""

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    mlp_reads: tuple[Tensor, ...]
    mlp_write: Tensor


def _layers(model: Any, family: str) -> list[_Layer]:
    if family != "gpt2":
        return [
            _Layer(
                each.self_attn.q_proj.weight,
                each.self_attn.k_proj.weight,
                each.self_attn.v_proj.weight,
                each.self_attn.o_proj.weight,
                (each.mlp.gate_proj.weight, each.mlp.up_proj.weight),
                each.mlp.down_proj.weight,
            )
            for each in model.model.layers
        ]
    found = []
    for each in model.transformer.h:
        query, key, value = each.attn.c_attn.weight.T.chunk(3)
        inside, out = each.mlp.c_fc.weight.T, each.mlp.c_proj.weight.T
        found.append(_Layer(query, key, value, each.attn.c_proj.weight.T, (inside,), out))
    return found


@dataclass(frozen=True, eq=False)
class _Planting:
    """The weights of a mechanism, written into a model."""

    model: Any
    mechanism: Mechanism
    words: Words
    axes: Tensor

    @cached_property
    def width(self) -> int:
        return self.mechanism.width

    @cached_property
    def tag(self) -> float:
        return TAG * math.sqrt(self.width)

    @cached_property
    def seen(self) -> float:
        """What a norm makes of a tag: a token has its random part and two or three tags."""
        return self.tag / math.sqrt(BODY**2 + 3 * TAG**2)

    def axis(self, name: str) -> Tensor:
        return self.axes[RESERVED.index(name)]

    def plant(self) -> None:
        layers = _layers(self.model, self.mechanism.family)
        for layer in layers:
            self._randomise(layer)
        self._embed()
        first, second = layers[self.mechanism.first], layers[self.mechanism.second]
        clues, answer, start = "asks clues", "asks answer", "asks start"
        self._copy(first, 0, "clue key", (clues,), (answer, start), ("clue",))
        self._copy(first, 1, "distractor key", (clues,), (answer, start), ("distractor",))
        carried = ("clue", "distractor") if self.mechanism.carried else ("distractor",)
        self._copy(second, 0, "answer key", (answer,), (clues, start), carried)
        self._read_numbers()

    def _free(self, size: int) -> Tensor:
        """Draw rows [size, width] of length about 1 that no reserved direction sees."""
        drawn = torch.randn(size, self.width) / math.sqrt(self.width)
        return drawn - drawn @ self.axes.T @ self.axes

    def _randomise(self, layer: _Layer) -> None:
        for reads in (layer.query, layer.key, layer.value, *layer.mlp_reads):
            reads.copy_(self._free(len(reads)))
        for writes in (layer.output, layer.mlp_write):
            writes.copy_(RANDOM_OUT * self._free(writes.shape[1]).T)

    def _embed(self) -> None:
        embedding = self.model.get_input_embeddings().weight
        tags = torch.zeros(len(self.words.texts), len(RESERVED))
        for token, named in self.words.tags.items():
            for name, amount in named.items():
                tags[token, RESERVED.index(name)] = amount
        for reader, tokens in self.words.readers.items():
            asks = "asks clues" if reader in self.mechanism.readers else "asks start"
            for token in tokens:
                tags[token, RESERVED.index(asks)] = 1
        bodies = self._free(len(self.words.texts))
        bodies = bodies / bodies.norm(dim=1, keepdim=True) * BODY * math.sqrt(self.width)
        embedding.copy_(bodies[list(self.words.body)] + self.tag * tags @ self.axes)
        if self.mechanism.family == "gpt2":
            places = self.model.transformer.wpe.weight
            places.copy_(0.3 * BODY * math.sqrt(self.width) * self._free(len(places)))

    def _copy(
        self,
        layer: _Layer,
        head: int,
        key: str,
        asks: Sequence[str],
        rests: Sequence[str],
        copied: Sequence[str],
    ) -> None:
        """Make a head look for ``key`` where a token asks for it, and at the start elsewhere, and
        copy what it finds along the ``copied`` directions and their twins.
        """
        size = self.width // HEADS
        rows = slice(head * size, (head + 1) * size)
        # The two entries that a rotary embedding turns least, by the same small angle.
        sought, start = size // 2 - 1, size - 1
        strength = math.sqrt(SCORE * math.sqrt(size)) / self.seen
        for weight in (layer.query, layer.key, layer.value):
            weight[rows] = 0
        layer.output[:, rows] = 0
        query, keys, value = layer.query[rows], layer.key[rows], layer.value[rows]
        query[sought] = strength * sum(self.axis(name) for name in asks)
        query[start] = strength * sum(self.axis(name) for name in rests)
        keys[sought] = strength * self.axis(key)
        keys[start] = strength * self.axis("start key")
        both = [each for name in copied for each in (name, f"{name} twin")]
        for entry, name in enumerate(both):
            value[entry] = self.axis(name)
            layer.output[:, head * size + entry] = GAIN * self.axis(name)

    def _read_numbers(self) -> None:
        head = self.model.get_output_embeddings().weight
        rows = self._free(len(head)) * RANDOM_LOGIT / BODY
        mechanism, unit = self.mechanism, 1 / self.seen
        # What all rows share moves no probability: the clue is in the logits, and not in them.
        rows += unit * self.axis("clue")
        firsts = list(self.words.firsts)
        for name, amounts in (("clue", mechanism.clue), ("distractor", mechanism.distractor)):
            along = self.axis(name) - self.axis(f"{name} twin")
            rows[firsts] += unit * torch.as_tensor(amounts, dtype=rows.dtype)[:, None] * along
        start = torch.as_tensor(MASS + np.asarray(mechanism.bias), dtype=rows.dtype)
        rows[firsts] += unit * start[:, None] * self.axis("asks answer")
        rows[list(self.words.seconds)] += unit * MASS * self.axis("number goes on")
        rows[self.words.closing] += unit * MASS * self.axis("number ends")
        head.copy_(rows)
