"""Measure in a few minutes what the workbench does on the device at hand: an accelerator if there
is one, else the processor.

Parts, each begun only while there is time: the packed sweep over one plain forward and beside other
libraries (:mod:`workbench.bench.sweep`), a model read layer by layer beside the same in memory
(:mod:`workbench.bench.stream`), and the noise floor of bfloat16: how far a state that is patched
into its own run moves the readout there, over the spread of readouts between prompts. Shapes grow
with the device's memory, so that a card is not measured on a toy. Ratios are formed within one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psutil
import torch

from workbench.bench.inputs import make_inputs
from workbench.bench.stream import bench_stream
from workbench.bench.stream_checkpoint import StreamShape, shape_of
from workbench.bench.sweep import bench_sweep
from workbench.bench.timing import synchronise
from workbench.loading import load_model
from workbench.progress import track
from workbench.trace.record import record_states

GIGA = 1e9
MODEL = "default"
SWEEP = (
    "packed_over_forward",
    "seconds.forward",
    "seconds.packed",
    "loop_over_packed",
    "transformer-lens_over_packed",
    "nnsight_over_packed",
    "pyvene_over_packed",
    "packed_vs_loop",
)


def bench_device(
    model: str | None, *, rows: int, tokens: int, seconds: float = 480.0
) -> dict[str, Any]:
    """Return values by key; a part for which no time was left has the value "no time left".

    Args:
        model: of the sweep and the noise floor; None for the default one.
        seconds: after which no further part is begun.
    """
    started, name = time.perf_counter(), model or MODEL
    parts: Mapping[str, Callable[[], dict[str, Any]]] = {
        "sweep": lambda: _sweep(name, rows, tokens),
        "noise": lambda: _noise(name, rows, tokens),
        "stream": lambda: _stream(rows, tokens),
    }
    found: dict[str, Any] = device_values()
    for part, work in track(parts.items(), "parts", total=len(parts)):
        if time.perf_counter() - started > seconds:
            found[part] = "no time left"
            continue
        _forget_peak()
        found |= {f"{part}.{key}": value for key, value in work().items()}
        found |= {f"{part}.{key}": value for key, value in _peak().items()}
    synchronise()
    return {**found, "seconds": time.perf_counter() - started}


def device_values() -> dict[str, Any]:
    """Return what the device is."""
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return {"device": properties.name, "memory_bytes": properties.total_memory}
    return {
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> dict[str, int]:
    return {"peak_bytes": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {}


def _sweep(model: str, rows: int, tokens: int) -> dict[str, Any]:
    found = bench_sweep(model, rows=rows, tokens=tokens, repeats=3, parts=("sweep",)).values
    return {key: found[key] for key in SWEEP if key in found}


def _noise(model: str, rows: int, tokens: int) -> dict[str, Any]:
    lm = load_model(model, precision="bfloat16")
    inputs = make_inputs(lm, rows, tokens)
    at = [[tokens - 1]] * rows
    own = record_states(lm, inputs.prompts, at)
    patched = replace(inputs, donors=own)
    read = patched.packed(patched.layers(range(lm.n_layers)))
    moved = (read.patched - read.base[:, None]).abs()
    return {
        "bfloat16_own_state_moves": float(moved.max()),
        "bfloat16_spread_of_readouts": float(read.base.float().std()),
        "precision": lm.precision,
    }


def stream_shape(memory: float) -> StreamShape:
    """Return the shape that is streamed on a device of so much memory: half of a billion weights on
    a processor or a small card, three billion from 20 GB on.
    """
    large = torch.cuda.is_available() and memory >= 20 * GIGA
    return shape_of(28, 2816) if large else shape_of(8, 1024)


def _stream(rows: int, tokens: int) -> dict[str, Any]:
    shape = stream_shape(device_values()["memory_bytes"])
    prompts = max(16, rows)
    parts = ("pass", "library")
    return bench_stream(
        shape=shape, prompts=prompts, batches=4, tokens=min(tokens, 32), parts=parts
    )
