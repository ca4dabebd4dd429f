"""Count the matrix products of passes over a language model, in floating-point operations.

A product of [m, k] and [k, n] takes 2 m k n operations. Counted are the linear layers, attention (a
token with every token it sees, itself included), the unembedding, and an adapter's two factors. A
backward pass through frozen weights takes the forward's operations once more (gradients of the
inputs alone); attention and the adapter, which have two inputs or trained weights, take them twice
more.

What is not counted: padding, pairs that a mask hides, norms, activations, softmax, sampling, the
optimiser. So a count is what the algorithm needs, and a kernel computes at least as much. Experts
of a mixture are counted as if all of them were used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from workbench.models import LanguageModel


@dataclass(frozen=True)
class ProductShape:
    """The sizes that decide how many operations a token takes.

    Attributes:
        layers: of the decoder.
        linear: weights of the matrices of all layers together.
        attention: query heads times their width, of one layer.
        unembedding: weights of the unembedding.
    """

    layers: int
    linear: int
    attention: int
    unembedding: int

    @classmethod
    def of(cls, lm: LanguageModel) -> ProductShape:
        """Read the sizes of a model without an adapter."""
        linear = sum(weight.numel() for layer in lm.layers() for weight in layer_matrices(layer))
        unembedding = lm.width * int(lm.config.vocab_size)
        return cls(lm.n_layers, linear, lm.n_heads * lm.head_size, unembedding)


def layer_matrices(layer: nn.Module) -> list[nn.Parameter]:
    """Return the weights of a decoder layer that tokens are multiplied with."""
    return [weight for weight in layer.parameters() if weight.dim() == 2]


@dataclass(frozen=True)
class Pass:
    """The size of some forward passes of one kind.

    Attributes:
        what: the kind, in words.
        per_product: rows of a typical product: tokens of one forward.
        tokens: tokens computed.
        token_layers: tokens times the layers they pass through.
        pair_layers: pairs of a token and one that it sees, times layers.
        logits: states that are unembedded.
        adapter: tokens times the adapter's weights they pass through.
        backward: whether gradients are computed.
        float32: whether it is computed in float32 whatever the model's precision.
    """

    what: str
    per_product: int
    tokens: int
    token_layers: int
    pair_layers: int
    logits: int
    adapter: int = 0
    backward: bool = False
    float32: bool = False

    def operations(self, shape: ProductShape) -> dict[str, int]:
        """Return the operations of the linear layers, attention, the unembedding and the
        adapter.
        """
        frozen, both = (2, 3) if self.backward else (1, 1)
        return {
            "linear": frozen * 2 * self.token_layers * shape.linear // shape.layers,
            "attention": both * 4 * self.pair_layers * shape.attention,
            "unembedding": frozen * 2 * self.logits * shape.unembedding,
            "adapter": both * 2 * self.adapter,
        }


def whole_pass(
    what: str,
    shape: ProductShape,
    per_product: int,
    rows: Iterable[tuple[int, int]],
    nodes: Iterable[int] = (),
    logits_per_row: int = 0,
    adapter: int = 0,
) -> Pass:
    """Return the pass through all layers over rows of tokens.

    Args:
        rows: of each row, the tokens that are there already and those computed after them.
        nodes: depths of the further tokens that are read at each row's end.
        adapter: weights that each of the tokens is multiplied with.
    """
    depths, rows = list(nodes), list(rows)
    tokens = sum(new + len(depths) for _, new in rows)
    pairs = sum(
        triangle(before, new) + sum(before + new + depth for depth in depths)
        for before, new in rows
    )
    return Pass(
        what,
        per_product,
        tokens,
        tokens * shape.layers,
        pairs * shape.layers,
        logits_per_row * len(rows),
        adapter * tokens,
    )


def triangle(before: int, new: int) -> int:
    """Return the pairs of ``new`` tokens that see each other causally and all ``before`` them."""
    return new * before + new * (new + 1) // 2
