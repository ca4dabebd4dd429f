"""Measure the peak memory of trainings, each in a fresh process: ``python -m
workbench.bench.teach_memory``.

The peak is the process's largest resident memory while it trains, model, libraries and everything
else included, sampled a hundred times a second; on a GPU it is the allocator's peak. Every process
loads the same libraries, so that what they take is the same for all. Resident memory also holds
what the allocator has not given back, so it is a little above what is in use.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import psutil
import torch

from workbench.bench.trainer_kinds import KINDS, run_kind, settings_of
from workbench.bench.trainers import trl_installed
from workbench.bench.training_examples import make_examples
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import Precision
from workbench.progress import track

INTERVAL = 0.01


def peaks(
    model: str, names: Sequence[str], rows: int, start_layer: int, precision: Precision = "float32"
) -> dict[str, int]:
    """Measure the peak bytes by name of the training (see
    :data:`workbench.bench.trainer_kinds.KINDS`), one epoch over ``rows`` examples each.

    Raises:
        WorkbenchError: if a process fails.
    """
    found = {}
    for name in track(names, "memory of trainings", total=len(names)):
        command = [
            sys.executable,
            "-m",
            __name__,
            model,
            name,
            str(rows),
            str(start_layer),
            precision,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            why = lines[-1].strip() if lines else "it gave no reason"
            raise WorkbenchError(f"The process that measures the memory of {name!r} failed: {why}")
        found[name] = int(json.loads(done.stdout.splitlines()[-1])["peak"])
    return found


@contextmanager
def peak_of_block(device: torch.device) -> Iterator[list[int]]:
    """Yield a list that holds the block's peak in bytes once the block has ended."""
    peak: list[int] = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.append(torch.cuda.max_memory_allocated(device))
        return
    process, ended, largest = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(INTERVAL):
            largest[0] = max(largest[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()
    peak.append(max(largest[0], process.memory_info().rss))


def measured(model: str, name: str, rows: int, start_layer: int, precision: Precision) -> int:
    """Measure the peak bytes of one training in this process."""
    if trl_installed():
        import trl

        assert trl.SFTTrainer
    lm = load_model(model, precision=precision)
    examples = make_examples(lm, rows)
    with peak_of_block(lm.device) as peak:
        run_kind(KINDS[name], lm, examples, settings_of(KINDS[name], start_layer, epochs=1), 0)
    return peak[0]


def main(arguments: Sequence[str]) -> None:
    model, name, rows, start_layer, precision = arguments
    peak = measured(model, name, int(rows), int(start_layer), cast(Precision, precision))
    sys.stdout.write(json.dumps({"peak": peak}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
