"""Define ``workbench bench mechanisms``: how often the rules of the published claims err where the
truth is planted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.bench import ALL, PLACE, draw, names_of, show
from workbench.cli.bench_statistics import wholes
from workbench.cli.options import FiguresFolder, NoFigures, PrintJson
from workbench.cli.terminal import bars
from workbench.files.ownership import require_claimable

MECHANISM_FOLDER = "bench_mechanisms"


def mechanisms(
    worlds: Annotated[
        int, typer.Option(min=1, max=10**6, help="Planted worlds of each kind and size.")
    ] = 400,
    sizes: Annotated[
        str, typer.Option(help="Held-out questions of a world, from 10 to 1,000,000.")
    ] = "200,1000,4000",
    works: Annotated[str, typer.Option(help="Some of the works, or all.")] = ALL,
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """How often the rules that confirm or contradict published claims err, and what they find.

    A quick look: --worlds 20 --sizes 200.
    """
    from workbench.bench.mechanism_page import record_rows, table_rows, write_mechanism_bench
    from workbench.bench.mechanisms import bench_mechanisms
    from workbench.mechanisms.catalogue import WORKS

    screen = Console(stderr=True)
    chosen, many = names_of("--works", works, tuple(WORKS)), wholes("--sizes", sizes)
    if not no_figures:
        require_claimable(figures / MECHANISM_FOLDER, PLACE)
    with bars(screen):
        found = bench_mechanisms(worlds=worlds, sizes=many, works=chosen)
    if as_json:
        sys.stdout.write(json.dumps(record_rows(found.rates), indent=1, allow_nan=False) + "\n")
    else:
        show(table_rows(found.rates), found.values)
    if not no_figures:
        draw(
            screen,
            figures / MECHANISM_FOLDER,
            lambda folder: write_mechanism_bench(folder, found),
        )
