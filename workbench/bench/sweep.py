"""Measure the cost of the packed engine relative to one plain forward, and to other ways to patch:
``workbench bench sweep``.

Eight parts, each of which can be left out: ``sweep`` (all layers at the last token, with the
libraries, and beside whole states a direction alone), ``map`` (every layer at the last 32
positions), ``knockout`` (attention edges cut in every window of layers), ``texts`` (what is written
in every layer's branch), ``record``, ``lens``, ``growth`` and ``memory``. Everything is measured in
one process on the same prompts with the same readout (:mod:`workbench.bench.inputs`), ratios within
one run (:mod:`workbench.bench.timing`), and each library's largest difference to the packed result
is given with its ratio. Fast methods are repeated ``repeats`` times, methods that take many
forwards ``library_repeats`` times; both numbers are in the result.

Ratios hold for this model, these sizes and this kind of machine: they rise with layers and fall
where a library's overhead, rather than the forward, dominates.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from workbench.bench.branch_texts import branch_texts
from workbench.bench.growth import Point, growth
from workbench.bench.inputs import BenchInputs, make_inputs
from workbench.bench.knockout_sweep import knockout_sweep
from workbench.bench.lens_reading import lens_reading
from workbench.bench.libraries import LIBRARIES, Built, build_libraries, runs
from workbench.bench.memory import memory
from workbench.bench.position_map import POSITIONS, position_map
from workbench.bench.recording import recording
from workbench.bench.timing import Method, alternate, ratio, spread, time_methods
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import Precision
from workbench.trace.interventions import Patched
from workbench.trace.subspace import subspaces_by_layer

PARTS = ("sweep", "map", "knockout", "texts", "record", "lens", "growth", "memory")
MOST_GROWTH_REPEATS = 3
BASELINE = "the model's own forward, causal mask of its kernel, no cache, logits of the last token"


@dataclass(frozen=True)
class SweepBench:
    """The results. ``values``: flat keys, None where a library is not installed; ``points`` of the
    growth curves; ``notes``: what to know.
    """

    values: dict[str, Any]
    points: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def bench_sweep(
    model: str,
    *,
    rows: int,
    tokens: int,
    repeats: int,
    library_repeats: int = 1,
    parts: Sequence[str] = PARTS,
    libraries: Sequence[str] = tuple(LIBRARIES),
    precision: Precision = "float32",
) -> SweepBench:
    """Measure ``parts`` with ``libraries`` on ``rows`` prompts of ``tokens`` tokens.

    Raises:
        WorkbenchError: before the model is loaded, for unknown parts and libraries.
    """
    unknown = [name for name in parts if name not in PARTS] + [
        name for name in libraries if name not in LIBRARIES
    ]
    if unknown or not parts:
        raise WorkbenchError(
            f"Unknown part or library {(unknown or [''])[0]!r}; parts are {', '.join(PARTS)}, "
            f"libraries {', '.join(LIBRARIES)}."
        )
    lm = load_model(model, precision=precision)
    bench_inputs = make_inputs(lm, rows, tokens, POSITIONS)
    wanted = "sweep" in parts or "growth" in parts
    built = build_libraries(lm, libraries if wanted else ())
    values: dict[str, Any] = {
        "model": lm.name,
        "rows": rows,
        "tokens": tokens,
        "layers": lm.n_layers,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "precision": lm.precision,
        "device": str(lm.device),
        "threads": torch.get_num_threads(),
        "repeats": repeats,
        "library_repeats": library_repeats,
        "forward": BASELINE,
    }
    points: list[Point] = []
    if "sweep" in parts:
        values |= _sweep(bench_inputs, built, repeats, library_repeats)
    if "map" in parts:
        values |= position_map(bench_inputs, library_repeats)
    if "knockout" in parts:
        values |= knockout_sweep(bench_inputs, library_repeats)
    if "texts" in parts:
        values |= branch_texts(bench_inputs, library_repeats)
    if "record" in parts:
        values |= recording(bench_inputs, repeats)
    if "lens" in parts:
        values |= lens_reading(bench_inputs, repeats)
    if "growth" in parts:
        points = growth(lm, built.sweeps, rows, tokens, min(repeats, MOST_GROWTH_REPEATS))
        values["growth.repeats"] = min(repeats, MOST_GROWTH_REPEATS)
        values |= {
            f"growth.{point.axis}.{point.at}.{point.method}": point.over_forward for point in points
        }
    if "memory" in parts:
        values |= memory(bench_inputs)
    return SweepBench(values, points, list(built.missing.values()))


def _sweep(
    bench_inputs: BenchInputs, built: Built, repeats: int, library_repeats: int
) -> dict[str, Any]:
    layers = range(bench_inputs.lm.n_layers)
    branches = bench_inputs.layers(layers)
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn((len(layers), bench_inputs.lm.width), generator=generator)
    within = bench_inputs.layers(layers, subspaces_by_layer(directions, layers))
    packed = bench_inputs.packed(branches)
    times = alternate(
        {
            "forward": bench_inputs.forward,
            "packed": lambda: bench_inputs.packed(branches),
            "within": lambda: bench_inputs.packed(within),
        },
        repeats,
    )
    out: dict[str, Any] = {
        **spread("packed_over_forward", ratio(times, "packed", "forward")),
        **spread("within_over_replace", ratio(times, "within", "packed")),
        "seconds.forward": statistics.median(times["forward"]),
        "seconds.packed": statistics.median(times["packed"]),
        "packed_vs_forward": float((packed.base - bench_inputs.forward()).abs().max()),
    }
    found: dict[str, Patched] = {}

    def kept(key: str) -> Method:
        run = runs(built.sweeps[key], bench_inputs, branches)
        return lambda: found.__setitem__(key, run())

    for key in built.sweeps:
        runs(built.sweeps[key], bench_inputs, branches[:1])()
    ratios, _ = time_methods(
        lambda: bench_inputs.packed(branches),
        {key: kept(key) for key in built.sweeps},
        library_repeats,
    )
    for key, values in ratios.items():
        out |= spread(f"{key}_over_packed", values)
        out[f"packed_vs_{key}"] = float((found[key].patched - packed.patched).abs().max())
    return out | {f"{key}_over_packed": None for key in built.missing}
