"""Measure how the cost of a layer sweep grows with the layers patched, the length of prompts and
the rows, in plain forwards.

Every point is one sweep at the last token over a plain forward of the same prompts. The packed
sweep is run whole. Another library spends the same on every branch, so at each point it runs one
branch and then a few, and the whole sweep's cost is *estimated* from the line through both; where
the machine's load moved between the two calls, the estimate moves with it.

``layers`` counts the layers patched, spread over the whole model, whose depth stays.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.bench.inputs import BenchInputs, make_inputs
from workbench.bench.libraries import Sweep, runs
from workbench.bench.timing import alternate, ratio, seconds
from workbench.models import LanguageModel
from workbench.progress import track

Axis = Literal["layers", "tokens", "rows"]
LAYERS = (8, 16, 30)
TOKENS = (64, 128, 256, 512, 1024)
LONG_ROWS = 2
SAMPLED = 3


@dataclass(frozen=True)
class Point:
    """A measured point: the cost of ``method`` in plain forwards at ``at`` of ``axis``."""

    axis: Axis
    at: int
    method: str
    over_forward: float
    estimated: bool


def growth(
    lm: LanguageModel, libraries: Mapping[str, Sweep], rows: int, tokens: int, repeats: int
) -> list[Point]:
    """Measure the points of all axes; lengths the model does not take are left out.

    Args:
        rows, tokens: those of the axis along which layers grow; rows grow up to ``rows``, lengths
            are measured on two rows.
    """
    longest = int(getattr(lm.config, "max_position_embeddings", None) or max(TOKENS))
    every = range(lm.n_layers)
    plan: list[tuple[Axis, int, int, int, Sequence[int]]] = [
        *(
            ("layers", count, rows, tokens, spread_layers(lm.n_layers, count))
            for count in layer_counts(lm.n_layers)
        ),
        *(
            ("tokens", length, min(rows, LONG_ROWS), length, every)
            for length in TOKENS
            if length <= longest
        ),
        *(("rows", count, count, tokens, every) for count in row_counts(rows)),
    ]
    points: list[Point] = []
    for axis, at, of_rows, of_tokens, layers in track(plan, "growth"):
        found = _costs(make_inputs(lm, of_rows, of_tokens), libraries, layers, repeats)
        points += [
            Point(axis, at, method, cost, method != "packed") for method, cost in found.items()
        ]
    return points


def layer_counts(depth: int) -> list[int]:
    """Return the layer counts measured on a model of ``depth`` layers, its depth the last."""
    return sorted({count for count in LAYERS if count < depth} | {depth})


def row_counts(rows: int) -> list[int]:
    """Return the powers of two below ``rows``, and ``rows``."""
    return [2**power for power in range(rows.bit_length()) if 2**power < rows] + [rows]


def spread_layers(depth: int, count: int) -> list[int]:
    """Return ``count`` layers spread evenly over ``depth``, the last among them."""
    return [(index + 1) * depth // count - 1 for index in range(count)]


def _costs(
    bench_inputs: BenchInputs, libraries: Mapping[str, Sweep], layers: Sequence[int], repeats: int
) -> dict[str, float]:
    """Measure how many plain forwards the sweep of ``layers`` costs, by method."""
    branches = bench_inputs.layers(layers)
    times = alternate(
        {"forward": bench_inputs.forward, "packed": lambda: bench_inputs.packed(branches)}, repeats
    )
    forward = statistics.median(times["forward"])
    few = branches[:: max(1, len(branches) // SAMPLED)][:SAMPLED]
    costs = {"packed": statistics.median(ratio(times, "packed", "forward"))}
    for key, sweep in libraries.items():
        one, some = (seconds(runs(sweep, bench_inputs, chosen)) for chosen in (few[:1], few))
        each = (some - one) / max(1, len(few) - 1)
        # Noise may turn the line of cheap calls down; a sweep costs no less than what was measured
        # of it.
        whole = max(some, one + (len(branches) - 1) * each)
        costs[key] = whole / forward
    return costs
