"""Measure what measuring costs: seconds and peak memory of all metrics with their intervals, on
generated tables of known size.

Three tables: 1,000 answers with 10,000 paired resamples of two readouts (every metric of both and
every difference); a large one with stated percentages (few distinct values) and a large one with
continuous confidences (all distinct). Confidence p is uniform, an answer is right with probability
p^2. Seconds are those of this machine and load; the method of each interval is printed with them.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import psutil

from workbench.measure.groups import Settings, measure_group
from workbench.measure.paired import paired_metrics
from workbench.measure.table_file.answers import Answers
from workbench.progress import task

SMALL = 1000
PAIRED_RESAMPLES = 10_000


def bench_measure(rows: int) -> dict[str, Any]:
    """Measure seconds, methods and memory; ``rows`` is the size of the large tables."""
    out: dict[str, Any] = {
        "rows.small": SMALL,
        "rows.large": rows,
        "resamples.paired": PAIRED_RESAMPLES,
    }
    with task("measuring", 4) as progress:
        for name, digits in (("percent", 2), ("continuous", None)):
            out |= {f"paired.{name}.{key}": value for key, value in _paired(digits).items()}
            progress.advance()
            out |= {f"large.{name}.{key}": value for key, value in _large(rows, digits).items()}
            progress.advance()
    out["peak_bytes"] = _peak()
    return out


def _paired(digits: int | None) -> dict[str, Any]:
    confidence, correct, rng = _made(SMALL, digits)
    other = np.clip(confidence + rng.normal(0, 0.2, SMALL), 0, 1)
    other = other if digits is None else np.round(other, digits)
    correct_b = rng.random(SMALL) < other**2
    start = _clocks()
    found = paired_metrics(
        confidence, other, correct, correct_b=correct_b, seed=0, resamples=PAIRED_RESAMPLES
    )
    return {**_since(start), "metrics": len(found.difference), "method": found.method}


def _large(rows: int, digits: int | None) -> dict[str, Any]:
    confidence, correct, rng = _made(rows, digits)
    answers = Answers(
        confidence=confidence,
        correct=correct,
        group=np.full(rows, "all", dtype=object),
        scale=1.0,
        domain=np.array(["a", "b", "c", "d"], dtype=object)[rng.integers(0, 4, rows)],
    )
    start = _clocks()
    found = measure_group(answers, Settings())
    return {**_since(start), "method": found.values["method"]}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float]) -> dict[str, float]:
    """Return seconds of the clock and of the processor since ``start``. The first also grow with
    other work of the machine.
    """
    now = _clocks()
    return {"seconds": now[0] - start[0], "cpu_seconds": now[1] - start[1]}


def _made(rows: int, digits: int | None) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(0)
    confidence = rng.random(rows)
    if digits is not None:
        confidence = np.round(confidence, digits)
    return confidence, rng.random(rows) < confidence**2, rng


def _peak() -> int:
    """Return the largest resident memory of the process so far, in bytes."""
    # Windows keeps the peak in psutil; elsewhere the resource module has it, in kilobytes (macOS:
    # bytes).
    peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
    if peak is not None:
        return int(peak)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
