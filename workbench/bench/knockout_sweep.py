"""Measure a sweep over all windows of layers in which attention edges are cut, relative to one
plain forward and to the loop.

The query is the last token, as at a confidence position; the keys are eight tokens in the middle.
In a second sweep the query is :data:`BACK` tokens before the end, so that a branch copies as many
tokens. The loop of hooked forwards, one a window, is *estimated* from windows drawn at random.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch

from workbench.bench.inputs import ONE_FORWARD, BenchInputs
from workbench.bench.timing import alternate, ratio, spread
from workbench.patch.knockout_windows import every_window, window_branches
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Branch, Patched

WIDTH = 5
KEYS = 8
BACK = 8
SAMPLED = 3


def windows(bench_inputs: BenchInputs, back: int, heads: int = 0) -> list[Branch]:
    """Return a branch for every window of :data:`WIDTH` layers (fewer in a shallower model), that
    cuts the token ``back`` before the last off the middle, for the first ``heads`` heads or all.
    """
    lm, rows, tokens = bench_inputs.lm, bench_inputs.rows, bench_inputs.tokens
    queries = torch.full((rows, 1), max(1, tokens - 1 - back))
    first = int(queries[0, 0]) // 2
    keys = torch.arange(first, min(first + KEYS, int(queries[0, 0]))).expand(rows, -1)
    width = min(WIDTH, lm.n_layers)
    return window_branches(queries, keys, every_window(lm, width), range(heads) if heads else None)


def knockout_sweep(bench_inputs: BenchInputs, repeats: int) -> dict[str, Any]:
    """Measure ``knockout_over_forward`` and its companions; see the module."""
    at_end = windows(bench_inputs, 0)
    earlier, by_head = windows(bench_inputs, BACK), windows(bench_inputs, 0, heads=1)
    order = torch.randperm(len(at_end), generator=torch.Generator().manual_seed(0))
    drawn = sorted(order[:SAMPLED].tolist())

    def sampled() -> Patched:
        return loop_branches(
            bench_inputs.lm,
            bench_inputs.prompts,
            [at_end[window] for window in drawn],
            bench_inputs.readout,
            tokens_per_forward=ONE_FORWARD,
        )

    packed = bench_inputs.packed(at_end)
    looped = sampled()
    times = alternate(
        {
            "forward": bench_inputs.forward,
            "knockout": lambda: bench_inputs.packed(at_end),
            "earlier": lambda: bench_inputs.packed(earlier),
            "heads": lambda: bench_inputs.packed(by_head),
            "loop": sampled,
        },
        repeats,
    )
    # The loop reads the unpatched prompt once besides its windows.
    scale = (len(at_end) + 1) / (len(drawn) + 1)
    gained = [scale * value for value in ratio(times, "loop", "knockout")]
    return {
        **spread("knockout_over_forward", ratio(times, "knockout", "forward")),
        **spread("knockout_earlier_over_forward", ratio(times, "earlier", "forward")),
        **spread("knockout_head_over_forward", ratio(times, "heads", "forward")),
        **spread("knockout_loop_over_packed", gained),
        "knockout_loop_over_packed.estimated": True,
        "knockout.windows": len(at_end),
        "knockout.width": min(WIDTH, bench_inputs.lm.n_layers),
        "knockout.earlier_tokens": min(BACK, bench_inputs.tokens - 2) + 1,
        "knockout.packed_vs_loop": float((packed.patched[:, drawn] - looped.patched).abs().max()),
        "seconds.knockout": statistics.median(times["knockout"]),
    }
