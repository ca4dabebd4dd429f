"""Measure how many operations of matrix products this machine computes a second, at the shapes of a
model's passes, here and now.

Random rows are multiplied with the model's own matrices, layer after layer as a pass does, so that
a few rows pay for reading the weights from memory as they do there. Nothing else is computed. Other
work of the machine lowers the rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn

from workbench.bench.timing import synchronise
from workbench.models import LanguageModel
from workbench.models.unembed import chunk_rows
from workbench.plan.products import Pass, ProductShape, layer_matrices
from workbench.progress import track

LEAST_SECONDS = 0.3
MOST_ROWS = 8192
"""Rows of the widest product whose rate is measured; wider ones are no faster."""

Kind = tuple[int, torch.dtype]
"""The rows of a product and the dtype it is computed in."""


@dataclass(frozen=True, eq=False)
class Rates:
    """Operations a second of the products of some passes.

    Attributes:
        dtype: in which a model of this precision multiplies.
        most_logits: rows that are unembedded together at most.
        layers, unembedding: rates by the kind of product.
    """

    dtype: torch.dtype
    most_logits: int
    layers: Mapping[Kind, float]
    unembedding: Mapping[Kind, float]

    def seconds(self, each: Pass, shape: ProductShape) -> float:
        """Return the seconds that the products of a pass take at these rates. Attention and the
        adapter are counted at the layers' rate.
        """
        operations = dict(each.operations(shape))
        at_head = operations.pop("unembedding")
        own, head = product_kinds(each, self.dtype, self.most_logits)
        return sum(operations.values()) / self.layers[own] + at_head / self.unembedding[head]

    def named(self) -> dict[str, float]:
        """Return every rate by its name: what is multiplied, the dtype, the rows."""
        return {
            f"{what}.{str(dtype).rpartition('.')[2]}.{rows}": rate
            for what, rates in (("layers", self.layers), ("unembedding", self.unembedding))
            for (rows, dtype), rate in rates.items()
        }


def product_kinds(each: Pass, dtype: torch.dtype, most_logits: int) -> tuple[Kind, Kind]:
    """Return the kinds of a pass's products: in the layers, and of the unembedding."""
    used = torch.float32 if each.float32 else dtype
    return (_rounded(each.per_product), used), (_rounded(min(each.per_product, most_logits)), used)


def _rounded(rows: int) -> int:
    """Return the nearest power of two, so that passes of about one size share a rate."""
    return int(min(MOST_ROWS, 2 ** round(math.log2(max(1, rows)))))


def measure_rates(lm: LanguageModel, passes: Sequence[Pass]) -> Rates:
    """Measure the rate of every kind of product that ``passes`` make, in the model's precision."""
    dtype, most = torch.bfloat16 if lm.precision == "bfloat16" else lm.dtype, chunk_rows(lm)
    kinds = [product_kinds(each, dtype, most) for each in passes]
    own, heads = (sorted(set(part), key=str) for part in zip(*kinds, strict=True))
    layers = {kind: layer_rate(lm, *kind) for kind in track(own, "measuring products")}
    head = {kind: unembedding_rate(lm, *kind) for kind in track(heads, "measuring unembeddings")}
    return Rates(dtype, most, layers, head)


def layer_rate(lm: LanguageModel, rows: int, dtype: torch.dtype) -> float:
    """Return the operations a second of the layers' matrices, ``rows`` at a time, in ``dtype``."""
    every = [
        (weight, isinstance(module, nn.Linear))
        for layer in lm.layers()
        for weight, module in _with_modules(layer)
    ]
    return _rate(every, rows, dtype)


def unembedding_rate(lm: LanguageModel, rows: int, dtype: torch.dtype) -> float:
    """Return the operations a second of the unembedding, ``rows`` at a time, in ``dtype``."""
    return _rate([(weight, True) for weight in lm.head().parameters()][:1], rows, dtype)


def _with_modules(layer: nn.Module) -> Iterator[tuple[Tensor, nn.Module]]:
    wanted = {id(weight) for weight in layer_matrices(layer)}
    for module in layer.modules():
        for weight in module.parameters(recurse=False):
            if id(weight) in wanted:
                yield weight, module


def _rate(matrices: Iterable[tuple[Tensor, bool]], rows: int, dtype: torch.dtype) -> float:
    """Return operations a second of products with the matrices in turn, after an untimed round of
    the first few; ``True`` beside a matrix says that it is kept transposed, as linear layers have
    it.
    """
    given: dict[int, Tensor] = {}
    products = [(weight.detach(), linear) for weight, linear in matrices]

    def product(weight: Tensor, linear: bool) -> float:
        matrix = weight if weight.dtype == dtype else weight.to(dtype)
        width = matrix.shape[1] if linear else matrix.shape[0]
        if width not in given:
            given[width] = torch.randn(rows, width, device=matrix.device).to(dtype)
        started = time.perf_counter()
        torch.matmul(given[width], matrix.T if linear else matrix)
        synchronise()
        return time.perf_counter() - started

    operations, spent = 0, 0.0
    with torch.no_grad():
        for weight, linear in products[:8]:
            product(weight, linear)
        for number, (weight, linear) in enumerate(cycle(products)):
            spent += product(weight, linear)
            operations += 2 * rows * weight.numel()
            if spent >= LEAST_SECONDS and number + 1 >= min(8, len(products)):
                break
    return operations / spent
