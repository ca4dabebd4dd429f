"""Measure what measuring costs: seconds and peak memory of all metrics with their intervals, on
generated tables of known size.

Three tables: 1,000 answers with 10,000 paired resamples of two readouts (every metric of both and
every difference); a large one with stated percentages (few distinct values) and a large one with
continuous confidences (all distinct). Confidence p is uniform, an answer is right with probability
p^2. Seconds are those of this machine and load; the method of each interval is printed with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.bench.timing import Seconds, measure
from workbench.measure.groups import Settings, measure_group
from workbench.measure.paired import paired_metrics
from workbench.measure.table_file.answers import Answers
from workbench.pipeline.memory import peak_memory
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
    out["peak_bytes"] = peak_memory()
    return out


def _paired(digits: int | None) -> dict[str, Any]:
    confidence, correct, rng = _made(SMALL, digits)
    other = np.clip(confidence + rng.normal(0, 0.2, SMALL), 0, 1)
    other = other if digits is None else np.round(other, digits)
    correct_b = rng.random(SMALL) < other**2
    found, taken = measure(
        lambda: paired_metrics(
            confidence, other, correct, correct_b=correct_b, seed=0, resamples=PAIRED_RESAMPLES
        )
    )
    return {**_named(taken), "metrics": len(found.difference), "method": found.method}


def _large(rows: int, digits: int | None) -> dict[str, Any]:
    confidence, correct, rng = _made(rows, digits)
    answers = Answers(
        confidence=confidence,
        correct=correct,
        group=np.full(rows, "all", dtype=object),
        scale=1.0,
        domain=np.array(["a", "b", "c", "d"], dtype=object)[rng.integers(0, 4, rows)],
    )
    found, taken = measure(lambda: measure_group(answers, Settings()))
    return {**_named(taken), "method": found.values["method"]}


def _named(taken: Seconds) -> dict[str, float]:
    return {"seconds": taken.clock, "cpu_seconds": taken.processor}


def _made(rows: int, digits: int | None) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(0)
    confidence = rng.random(rows)
    if digits is not None:
        confidence = np.round(confidence, digits)
    return confidence, rng.random(rows) < confidence**2, rng
