"""Measure writing, reading and probing recorded states that lie in shards on disk.

States are random; only those of the probed site are drawn anew for every question, the others
repeat a block of numbers, which costs the disk the same. Rates are of the states' bytes. Reading is
measured with the shards pushed out of the page cache first, where the system allows that, and again
with what is in it; the first also compares checksums. Peaks are the most that this process ever
held, mapped pages of files included, beyond what it held before the part, so they are bounds from
above.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from workbench.bench.page_cache import forget_files
from workbench.bench.probe_fits import settings_of
from workbench.bench.probe_states import make_states
from workbench.bench.timing import measure
from workbench.pipeline.memory import held_memory, peak_memory
from workbench.probe import fit_layerwise
from workbench.progress import track
from workbench.states.layout import Layout
from workbench.states.recorded import open_states
from workbench.states.writer import StatesWriter


def bench_states(
    *,
    questions: int,
    layers: int,
    positions: int,
    width: int,
    shard_rows: int,
    memory_bytes: int,
    folder: Path,
) -> dict[str, Any]:
    """Write random states in float16 into a temporary folder below ``folder``, read one layer and
    position, and fit its probe within ``memory_bytes``.
    """
    layout = Layout(layers, tuple(f"position {at}" for at in range(positions)), width, "float16")
    values: dict[str, Any] = {
        "questions": questions, "layers": layers, "positions": positions, "width": width,
        "shard_rows": shard_rows, "bytes": questions * layout.bytes_per_question,
        "memory_bytes": memory_bytes,
    }  # fmt: skip
    with TemporaryDirectory(dir=folder) as place:
        return values | _measured(Path(place) / "states", layout, values)


def _measured(folder: Path, layout: Layout, values: dict[str, Any]) -> dict[str, Any]:
    questions, rows = values["questions"], values["shard_rows"]
    at = (layout.layers // 2, len(layout.positions) // 2)
    data = make_states(questions, 1, layout.width, 0)
    one = torch.randn(rows, 1, len(layout.positions), layout.width).half()
    block = one.repeat(1, layout.layers, 1, 1)
    writer, writing = StatesWriter(folder, layout), 0.0
    before, starts = held_memory(), range(0, questions, rows)
    for start in track(starts, "writing shards"):
        numbers = np.arange(start, min(start + rows, questions))
        block[: len(numbers), at[0], at[1]] = torch.from_numpy(data.states[numbers, 0, 0]).half()
        _, taken = measure(partial(writer.write, str(start), numbers, block[: len(numbers)]))
        writing += taken.clock
    written = peak_memory()
    kept, opening = measure(lambda: open_states(folder, "measure again"))
    forget_files(folder.iterdir())
    site = kept[:, at[0], at[1]]
    wanted, first = measure(lambda: np.asarray(site))
    size = kept.read_bytes
    _, again = measure(lambda: np.asarray(site))
    exact = torch.from_numpy(data.states[:, 0, 0]).half().float().numpy()
    assert np.array_equal(wanted, exact)
    del wanted, exact
    labels, settings = data.labels, replace(settings_of(4), memory_bytes=values["memory_bytes"])
    del data, block
    held = held_memory()
    probe, fitting = measure(
        lambda: fit_layerwise(kept[:, at[0] : at[0] + 1, at[1] : at[1] + 1], labels, settings)
    )
    return {
        "shards": len(starts),
        "write.bytes_per_second": values["bytes"] / writing,
        "write.peak_bytes": written - before,
        "manifest.bytes": (folder / "manifest.jsonl").stat().st_size,
        "open.seconds": opening.clock,
        "read.site_bytes": size,
        "read.seconds": first.clock,
        "read.again_seconds": again.clock,
        "read.bytes_per_second": size / first.clock,
        "probe.seconds": fitting.clock,
        "probe.processor_seconds": fitting.processor,
        "probe.peak_bytes": peak_memory() - held,
        "probe.out_of_fold_auroc2": float(probe.out_of_fold_auroc2[0, 0]),
    }
