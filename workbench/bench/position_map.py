"""Measure the layer x position map of the last positions, relative to one plain forward and to the
loop.

The packed engine runs every cell. The loop would take one forward for each cell, hours on large
models; its cost is *estimated*: cells drawn at random are run by the loop, and the seconds of one
are multiplied by the number of cells. The same cells say how far the packed values are from the
loop's.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch

from workbench.bench.inputs import BenchInputs
from workbench.bench.libraries import hooked_loop, runs
from workbench.bench.timing import alternate, ratio, spread
from workbench.patch.branches import layer_sites, position_branches
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.interventions import Branch, Patched

POSITIONS = 32
SAMPLED = 6


def cells(bench_inputs: BenchInputs, positions: int) -> list[Branch]:
    """Return a branch for every layer at every one of the last ``positions`` tokens (fewer if there
    are fewer).
    """
    count = min(positions, bench_inputs.donors.shape[2])
    at = torch.arange(bench_inputs.tokens - count, bench_inputs.tokens).expand(
        bench_inputs.rows, -1
    )
    return position_branches(
        layer_sites(range(bench_inputs.lm.n_layers)), at, bench_inputs.donors[:, :, -count:]
    )


def position_map(bench_inputs: BenchInputs, repeats: int) -> dict[str, Any]:
    """Measure the ratios of the whole map to a plain forward, and of the loop's estimate to the
    map; the first call is timed.
    """
    grid = cells(bench_inputs, POSITIONS)
    loop, drawn = hooked_loop(bench_inputs.lm), _drawn(len(grid))
    sampled = runs(loop, bench_inputs, [grid[cell] for cell in drawn])
    maps: list[Patched] = []
    methods = {
        "forward": bench_inputs.forward,
        "map": lambda: maps.append(bench_inputs.packed(grid, PATCHING_TOKENS_PER_FORWARD)),
        "loop": sampled,
    }
    bench_inputs.forward()
    times = alternate(methods, repeats, untimed=0)
    # A loop reads the unpatched prompt once besides its cells.
    scale = (len(grid) + 1) / (len(drawn) + 1)
    gained = [scale * value for value in ratio(times, "loop", "map")]
    return {
        **spread("position_map_over_forward", ratio(times, "map", "forward")),
        **spread("position_map_loop_over_packed", gained),
        "position_map_loop_over_packed.estimated": True,
        "position_map.loop_cells_measured": len(drawn),
        "position_map.cells": len(grid),
        "position_map.repeats": repeats,
        "position_map.tokens_per_forward": PATCHING_TOKENS_PER_FORWARD,
        "position_map.packed_vs_loop": float(
            (maps[-1].patched[:, drawn] - sampled().patched).abs().max()
        ),
        "seconds.position_map": statistics.median(times["map"]),
        "seconds.position_map_loop_estimated": scale * statistics.median(times["loop"]),
    }


def _drawn(count: int) -> list[int]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return sorted(order[:SAMPLED].tolist())
