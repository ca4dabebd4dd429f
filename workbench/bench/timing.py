"""Time methods that take turns, and form ratios within a turn.

A machine's speed drifts with its other work. So a ratio is formed between adjacent calls, and the
median over turns is reported with the smallest and the largest. The first round is not timed: it
pays for kernels that are chosen, and memory that is taken, once. On an accelerator the clock waits
for all queued work.

Seconds are those of this machine under its load at the time; only ratios can be compared with
another run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from workbench.progress import track

Method = Callable[[], Any]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Seconds:
    """Seconds of the clock and of the processor. The first also grow with other work of the
    machine.
    """

    clock: float
    processor: float


def measure(work: Callable[[], Result]) -> tuple[Result, Seconds]:
    """Return the result of ``work``, which queues nothing on an accelerator, and its seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, Seconds(time.perf_counter() - clock, time.process_time() - processor)


def seconds(method: Method, clock: Callable[[], float] | None = None) -> float:
    """Return the seconds of one call by ``clock``, the wall's if none is given, with everything it
    queued on an accelerator.
    """
    clock = clock or time.perf_counter
    synchronise()
    started = clock()
    method()
    synchronise()
    return clock() - started


def alternate(
    methods: Mapping[str, Method], repeats: int, *, untimed: int = 1
) -> dict[str, list[float]]:
    """Time each method once per repeat, in turns, after ``untimed`` rounds; return the seconds."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for turn in track(range(untimed + repeats), f"timing {', '.join(methods)}"):
        for name, method in methods.items():
            taken = seconds(method)
            if turn >= untimed:
                times[name].append(taken)
    return times


def time_methods(
    reference: Method, methods: Mapping[str, Method], repeats: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Time methods that are too slow to be repeated often, each between two calls of a fast
    ``reference``. Nothing is warmed up here.

    Returns:
        For every method its ratios to the mean of the reference before and after it, and all
        seconds of the reference.
    """
    ratios: dict[str, list[float]] = {name: [] for name in methods}
    references = [seconds(reference)]
    for _ in range(repeats):
        for name, method in track(methods.items(), "timing the libraries", total=len(methods)):
            taken = seconds(method)
            references.append(seconds(reference))
            ratios[name].append(taken / statistics.mean(references[-2:]))
    return ratios, references


def ratio(times: Mapping[str, Sequence[float]], above: str, below: str) -> list[float]:
    """Return the seconds of one method over those of another, turn by turn."""
    return [a / b for a, b in zip(times[above], times[below], strict=True)]


def spread(key: str, values: Sequence[float]) -> dict[str, float]:
    """Return ``key``: the median of ``values``; ``key.low`` and ``key.high``: the smallest and the
    largest.
    """
    return {key: statistics.median(values), f"{key}.low": min(values), f"{key}.high": max(values)}


def synchronise() -> None:
    """Wait until an accelerator, if there is one, has finished its queued work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
