"""Run the loop on a few questions and compare every stage with its plan: passes, tokens, seconds
and memory.

Passes and columns are counted at the decoder and at every layer's attention. The plan is made
twice: before the run, from assumed lengths (``planned``), and of the finished run, from what it
wrote (``exact``), which must agree with what is counted. Seconds are planned from one layer of the
shape that is timed first, by the processor's clock, because other work of a machine does not enter
that; the wall clock's are shown beside them. Memory is the process's largest in a stage, with what
it held before the model was loaded taken off; all libraries that stages use are imported before. In
it and in no plan is what the allocator cannot use between held blocks. Kernels that were made while
a layer was timed are among what is taken off; their number is bounded
(:mod:`workbench.models.kernel_caches`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from workbench.bench.layer_times import time_layers
from workbench.bench.timing import measure
from workbench.config import RunConfig
from workbench.loop import STAGES, run_stages
from workbench.loop.run import Run
from workbench.pipeline.memory import (
    held_memory,
    peak_memory,
    release_memory,
    reset_peak_memory,
)
from workbench.pipeline.store import RunStore
from workbench.plan.finished import planned_run_of, with_stated
from workbench.plan.machine import Machine, processor
from workbench.plan.placements import PROBE_RATE
from workbench.plan.plan import make_plan
from workbench.plan.run_stages import forwards_in, planned_stages
from workbench.plan.shape import decoder_shape
from workbench.progress import track

LAST = "patch"
LIBRARIES = ("workbench.loading.load", "workbench.loop.teaching", "workbench.loop.report")
"""Modules that import what stages use."""
READ = ("elicit", "elicit_tuned", "elicit_control")


def bench_plan(config: RunConfig, last: str = LAST) -> dict[str, Any]:
    """Run the stages of ``config`` up to ``last``; return values by stage and their totals."""
    shape = decoder_shape(config.model.name)
    timed = time_layers(shape, config.model, time.process_time)
    memory = float(psutil.virtual_memory().total)
    machine = Machine("this machine", processor(memory, 1), 1, memory, 1e9)
    plan = make_plan(config, machine, placement="device", timed=timed, bottleneck=False)
    planned = {stage.name: stage for stage in plan.stages}
    with tempfile.TemporaryDirectory() as place:
        context = Run(config, RunStore(Path(place) / "run"), Path(place) / "figures")
        for module in LIBRARIES:
            import_module(module)
        release_memory()  # What is free already would otherwise be taken off the stages' own.
        before = held_memory()
        lm = context.lm
        values: dict[str, Any] = {
            "model": lm.name,
            "precision": lm.precision,
            "memory.weights": held_memory() - before,
            "memory.weights_planned": round(plan.formats.weights(shape)),
        }
        measured: dict[str, dict[str, float]] = {}
        names = [stage.name for stage in STAGES]
        chosen = STAGES[: names.index(last) + 1]
        for number, stage in enumerate(track(chosen, "stages")):
            reset_peak_memory()
            with _counted(lm) as found:
                _, taken = measure(partial(run_stages, chosen[: number + 1], context))
                found["seconds"], found["processor"] = taken.clock, taken.processor
                found["memory"] = peak_memory() - before
            measured[stage.name] = found
        exact = _exact(context, list(measured))
    total = {"processor": 0.0, "planned": 0.0}
    for name, found in measured.items():
        if name not in planned:
            continue
        own = planned[name]
        forwards = exact.get(name, [])
        seconds = sum(timed.seconds(each, 0) for each in forwards or own.forwards)
        seconds += own.probe_operations / PROBE_RATE
        values |= {
            f"{name}.passes": round(found["forwards"]),
            f"{name}.tokens": found["token_layers"] / shape.layers,
            f"{name}.seconds": found["seconds"],
            f"{name}.processor_seconds": found["processor"],
            f"{name}.memory": round(found["memory"]),
            f"{name}.planned.memory": round(own.memory.total),
            f"{name}.exact.passes": len(forwards),
            f"{name}.exact.tokens": sum(each.token_layers for each in forwards) / shape.layers,
            f"{name}.planned.passes": len(own.forwards),
            f"{name}.planned.tokens": own.tokens,
            f"{name}.planned.seconds": seconds,
        }
        total["processor"] += found["processor"]
        total["planned"] += seconds
    compared = [name for name in measured if name in planned]
    largest = max(planned[name].memory.total for name in compared)
    peak = max(measured[name]["memory"] for name in compared)
    return {
        **values,
        "total.processor_seconds": total["processor"],
        "total.planned.seconds": total["planned"],
        "total.planned_over_processor": total["planned"] / total["processor"],
        "memory.libraries": before,
        "memory.peak": round(peak),
        "memory.peak_planned": round(largest),
        "memory.planned_over_peak": largest / peak,
    }


@contextmanager
def _counted(lm: Any) -> Iterator[dict[str, float]]:
    found: dict[str, float] = {"forwards": 0, "token_layers": 0}

    def call(*_: Any) -> None:
        found["forwards"] += 1

    def columns(_: Any, args: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        found["token_layers"] += hidden.shape[0] * hidden.shape[1]

    hooks = [lm.decoder().register_forward_pre_hook(call)]
    path = lm.architecture.attention
    hooks += [layer.get_submodule(path).register_forward_hook(columns) for layer in lm.layers()]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _exact(context: Run, names: list[str]) -> dict[str, list[Any]]:
    """Return the forwards of the finished stages, planned from what they wrote."""
    if "teach" not in names:
        return {}
    run, found = planned_run_of(context), {}
    for name, work in planned_stages().items():
        if name not in names:
            break
        if name in READ:
            with_stated(run, context, name)
        found[name] = forwards_in(work(run))
    return found


def table_rows(values: dict[str, Any]) -> list[dict[str, str]]:
    """Return a row of words for every stage."""
    names = [key.removesuffix(".passes") for key in values if key.endswith(".exact.passes")]
    rows = []
    for name in (each.removesuffix(".exact") for each in names):

        def pair(key: str, form: str, stage: str = name) -> str:
            return " / ".join(
                format(values[f"{stage}{kind}.{key}"], form) for kind in (".planned", ".exact", "")
            )

        rows.append(
            {
                "stage": name,
                "passes (planned / of what was written / counted)": pair("passes", ",d"),
                "tokens (the same)": pair("tokens", ",.0f"),
                "seconds planned": f"{values[f'{name}.planned.seconds']:.1f}",
                "of the processor": f"{values[f'{name}.processor_seconds']:.1f}",
                "of the clock": f"{values[f'{name}.seconds']:.1f}",
                "GB planned": f"{values[f'{name}.planned.memory'] / 1e9:.2f}",
                "GB at the most": f"{values[f'{name}.memory'] / 1e9:.2f}",
            }
        )
    return rows
