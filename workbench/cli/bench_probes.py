"""Define ``workbench bench probes`` and ``workbench bench states``: what fitting probes costs,
beside scikit-learn, and what keeping states on disk does.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.bench import ALL, PLACE, draw, names_of, show
from workbench.cli.lists import listed
from workbench.cli.options import FiguresFolder, NoFigures, PrintJson
from workbench.cli.terminal import bars
from workbench.errors import WorkbenchError
from workbench.files.ownership import require_claimable

FOLDER = "bench_probes"


def probes(
    rows: Annotated[int, typer.Option(min=50, max=10**7, help="Questions.")] = 1000,
    width: Annotated[int, typer.Option(min=2, max=10**6, help="Features of a state.")] = 4096,
    layers: Annotated[int, typer.Option(min=1, max=10_000, help="Layers to scale to.")] = 30,
    positions: Annotated[int, typer.Option(min=1, max=1000, help="Positions to scale to.")] = 3,
    strengths: Annotated[int, typer.Option(min=2, max=100, help="Penalties.")] = 8,
    sampled_sites: Annotated[
        int, typer.Option(min=1, max=10_000, help="Sites that are fitted.")
    ] = 4,
    growth_rows: Annotated[
        str, typer.Option(help="Questions of the curve, at --width.")
    ] = "250,500,1000,2000,4000,8000",
    growth_widths: Annotated[
        str, typer.Option(help="Widths of the curve, at --rows.")
    ] = "512,1024,2048,4096,8192",
    gram_rows: Annotated[
        int, typer.Option(min=0, max=10**6, help="Most questions also fitted on Gram matrices.")
    ] = 1000,
    parts: Annotated[str, typer.Option(help="Some of goal,growth.")] = ALL,
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """Cross-fitted probes of many layers, beside scikit-learn on the same fits, and how their cost
    grows with questions and width.
    """
    from workbench.bench.probe_fits import PARTS, bench_probes
    from workbench.bench.probe_page import table_rows, write_probe_bench

    screen = Console(stderr=True)
    if not no_figures:
        require_claimable(figures / FOLDER, PLACE)
    with bars(screen):
        found = bench_probes(
            rows=rows,
            width=width,
            layers=layers,
            positions=positions,
            strengths=strengths,
            sampled_sites=sampled_sites,
            growth_rows=_numbers("--growth-rows", growth_rows),
            growth_widths=_numbers("--growth-widths", growth_widths),
            gram_rows=gram_rows,
            parts=names_of("--parts", parts, PARTS),
        )
    points = [asdict(point) for point in found.points]
    if as_json:
        sys.stdout.write(json.dumps(found.values | {"growth": points}, indent=2) + "\n")
    else:
        show(table_rows(found.values), found.values)
        show([{key: str(value) for key, value in point.items()} for point in points], {})
    if not no_figures:
        draw(screen, figures / FOLDER, lambda folder: write_probe_bench(folder, found))


def _numbers(option: str, given: str) -> list[int]:
    """Read a list of whole numbers.

    Raises:
        WorkbenchError: for anything else.
    """
    found = listed(option, given)
    if not all(each.isdecimal() and int(each) > 0 for each in found):
        raise WorkbenchError(f"{option} takes whole numbers such as 500,1000, not {given!r}.")
    return [int(each) for each in found]


def states(
    questions: Annotated[int, typer.Option(min=50, max=10**8, help="Questions.")] = 2000,
    layers: Annotated[int, typer.Option(min=1, max=10_000, help="Layers.")] = 8,
    positions: Annotated[int, typer.Option(min=1, max=1000, help="Positions.")] = 4,
    width: Annotated[int, typer.Option(min=2, max=10**6, help="Features of a state.")] = 8192,
    shard_rows: Annotated[int, typer.Option(min=1, max=10**6, help="Questions of a shard.")] = 16,
    memory_bytes: Annotated[
        int, typer.Option(min=0, max=10**15, help="Memory bound of the probe.")
    ] = 1_000_000_000,
    folder: Annotated[Path, typer.Option(help="Where the states are written, and removed.")] = Path(
        "."
    ),
) -> None:
    """Write random states in shards to the disk, read one layer and position back, and probe it."""
    from workbench.bench.state_shards import bench_states

    with bars(Console(stderr=True)):
        found = bench_states(
            questions=questions,
            layers=layers,
            positions=positions,
            width=width,
            shard_rows=shard_rows,
            memory_bytes=memory_bytes,
            folder=folder,
        )
    show([], found)
