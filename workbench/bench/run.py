"""Say where the time of a finished run went, beside the floor that its matrix products alone set.

Of every stage: its seconds as the run noted them, the tokens and operations its passes needed
(:mod:`workbench.bench.run_passes`), the rate at which this machine computes such products now, in
the run's precision (:mod:`workbench.bench.product_rate`), and the floor, operations over rate. The
ratio of seconds to floor is what everything else costs: norms, softmax, attention's masks, padding,
Python, reading and writing. It is fair only where the run was made on this machine under the same
load. A stage without products of the model has no floor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from workbench.bench.product_rate import measure_rates
from workbench.bench.run_passes import STAGE_PASSES
from workbench.bench.run_tokens import RunTokens
from workbench.loop import STAGES
from workbench.loop.run import Run
from workbench.models.quantisation import require_plain_weights
from workbench.plan.products import Pass, ProductShape
from workbench.progress import track


@dataclass(frozen=True)
class RunBench:
    """The result: ``values`` by key, and the passes of every stage that has some."""

    values: dict[str, Any]
    passes: Mapping[str, Sequence[Pass]]


def bench_run(run: Run) -> RunBench:
    """Count the passes of a finished run and measure the rates of their products.

    Raises:
        WorkbenchError: for a quantised model.
    """
    lm = run.lm
    require_plain_weights(lm, "Counting products", "measure a run of a plain checkpoint")
    shape, tokens = ProductShape.of(lm), RunTokens(run)
    passes = {
        name: [each for each in count(tokens, shape) if each.tokens]
        for name, count in track(STAGE_PASSES.items(), "counting the passes")
    }
    every = [each for found in passes.values() for each in found]
    rates = measure_rates(lm, every)
    values: dict[str, Any] = {
        "run": run.store.folder.name,
        "model": run.config.model.shown,
        "precision": lm.precision,
        "device": str(lm.device),
        "threads": torch.get_num_threads(),
    }
    total = {"seconds": 0.0, "floor_seconds": 0.0, "operations": 0, "tokens": 0}
    for stage in STAGES:
        found = passes.get(stage.name, [])
        line = {
            "seconds": float(run.stage(stage.name).facts()["seconds"]),
            "tokens": sum(each.tokens for each in found),
            "operations": sum(sum(each.operations(shape).values()) for each in found),
            "floor_seconds": sum(rates.seconds(each, shape) for each in found),
        }
        values |= {f"{stage.name}.{key}": value for key, value in _with_ratios(line).items()}
        total = {key: value + line[key] for key, value in total.items()}
    values |= {f"total.{key}": value for key, value in _with_ratios(total).items()}
    values |= {f"rate.{name}": rate for name, rate in rates.named().items()}
    return RunBench(values, passes)


def _with_ratios(line: Mapping[str, Any]) -> dict[str, Any]:
    floor = line["floor_seconds"]
    return {
        **line,
        "operations_per_second": line["operations"] / line["seconds"] if line["seconds"] else None,
        "over_floor": line["seconds"] / floor if floor else None,
    }
