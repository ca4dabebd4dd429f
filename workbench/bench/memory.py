"""Measure the peak memory of tensors during a call, and whether a packed map stays under what its
token budget promises.

On a GPU the peak is the allocator's; on the CPU it is the largest sum of allocations less releases
that torch's profiler saw. Both count what the call takes beyond what was in use before it, kernels'
scratch space included, and neither sees what a library takes outside torch's allocator. Timing and
memory are measured in different calls.

The bound of a budget is put together from parts measured or counted apart from the engine: a plain
forward of as many tokens as the budget, two masks for the widest pass (the boolean one is smaller),
the prompts' keys and values and states after every layer, and the readout of one chunk of logits. A
user may rely on it when choosing a budget.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from workbench.bench.inputs import BenchInputs, make_inputs
from workbench.bench.position_map import cells
from workbench.bench.timing import Method, synchronise
from workbench.models.unembed import chunk_rows, unembed_reduced

MAP_POSITIONS = 8


def peak_bytes(method: Method, device: torch.device) -> int | None:
    """Return the most bytes of tensors that ``method`` held at once beyond those in use before;
    None on devices that do not report it.
    """
    if device.type == "cpu":
        return _profiled(method)
    if device.type == "cuda":
        synchronise()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        method()
        synchronise()
        return torch.cuda.max_memory_allocated(device) - before
    return None


def _profiled(method: Method) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        method()
    results = seen.profiler.kineto_results if seen.profiler is not None else None
    assert results is not None
    changes = sorted(
        (event.start_ns(), event.nbytes())
        for event in results.events()
        if event.name() == "[memory]"
    )
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most


def memory(bench_inputs: BenchInputs) -> dict[str, Any]:
    """Measure the peak of the plain forward, the layer sweep, and a layer x position map under a
    budget, with that budget's bound.

    The budget is twice the prompts, so that the map needs several passes; ``bench_inputs`` has
    donors at the last positions.
    """
    lm, rows, tokens = bench_inputs.lm, bench_inputs.rows, bench_inputs.tokens
    budget = 2 * rows * tokens
    sweep, grid = bench_inputs.layers(range(lm.n_layers)), cells(bench_inputs, MAP_POSITIONS)
    peaks = {
        "memory.forward_bytes": peak_bytes(bench_inputs.forward, lm.device),
        "memory.sweep_bytes": peak_bytes(lambda: bench_inputs.packed(sweep), lm.device),
        "memory.map_bytes": peak_bytes(lambda: bench_inputs.packed(grid, budget), lm.device),
    }
    bound = _bound(bench_inputs, budget)
    peak = peaks["memory.map_bytes"]
    within = None if bound is None or peak is None else peak <= bound
    return {
        "memory.tokens_per_forward": budget,
        "memory.map_cells": len(grid),
        **peaks,
        "memory.bound_bytes": bound,
        "memory.within_bound": within,
    }


def _bound(bench_inputs: BenchInputs, budget: int) -> int | None:
    lm, rows = bench_inputs.lm, bench_inputs.rows
    long = make_inputs(lm, rows, budget // rows)
    forward = peak_bytes(long.forward, lm.device)
    states = torch.zeros(min(chunk_rows(lm), budget), lm.width, device=lm.device, dtype=lm.dtype)
    logits = peak_bytes(lambda: unembed_reduced(lm, states, bench_inputs.readout), lm.device)
    if forward is None or logits is None:
        return None
    config = lm.config
    size = torch.finfo(lm.dtype).bits // 8
    key_heads = int(getattr(config, "num_key_value_heads", None) or lm.n_heads)
    kept = (
        rows * bench_inputs.tokens * lm.n_layers * (2 * key_heads * lm.head_size + lm.width) * size
    )
    columns = budget // rows
    kinds = len(set(getattr(config, "layer_types", None) or ["full"]))
    masks = 2 * kinds * rows * columns**2 * size
    return forward + logits + kept + masks
