"""Write the page and the table of where a run's time went: ``index.html`` with a line a stage and a
line a kind of pass, ``table.csv`` with every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.bench.bench_page import write_bench_page
from workbench.bench.run import RunBench
from workbench.loop import STAGES

NOTES = (
    "The floor is what the matrix products alone take on this machine now, at the shapes of the "
    "run's passes; a ratio to it is fair only for a run made on this machine under the same load.",
    "Tokens of generated texts are counted by tokenising the texts again.",
    "Fitting probes, drawing and intervals need no products of the model, and have no floor.",
)


def table_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a line for every stage and one for all together."""
    names = [stage.name for stage in STAGES if f"{stage.name}.seconds" in values]
    return [_row(name, values) for name in [*names, "total"]]


def _row(name: str, values: Mapping[str, Any]) -> dict[str, str]:
    floor, ratio = values[f"{name}.floor_seconds"], values[f"{name}.over_floor"]
    return {
        "stage": name,
        "seconds": f"{values[f'{name}.seconds']:.1f}",
        "tokens": f"{values[f'{name}.tokens']:,}" if floor else "",
        "operations": f"{values[f'{name}.operations']:.3g}" if floor else "",
        "floor, seconds": f"{floor:.1f}" if floor else "no products",
        "seconds / floor": "" if ratio is None else f"{ratio:.2f}",
    }


def write_run_bench(folder: Path, found: RunBench) -> Path:
    """Write ``table.csv`` and the page into ``folder`` (made if missing); return the path of
    ``index.html``.
    """
    values = found.values
    title = f"Where the time of the run {values['run']} goes"
    return write_bench_page(folder, title, [], values, table_rows(values), NOTES)
