"""Define ``workbench bench coverage``, ``workbench bench verdicts`` and ``workbench bench
bottleneck``: how often intervals miss and verdicts err where the truth is known.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.bench import ALL, PLACE, draw, names_of, show
from workbench.cli.lists import listed
from workbench.cli.options import FiguresFolder, NoFigures, PrintJson
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_text
from workbench.errors import WorkbenchError
from workbench.files.ownership import require_claimable

VERDICT_FOLDER = "bench_verdicts"
COVERAGE_FOLDER = "bench_coverage"
BOTTLENECK_FOLDER = "bench_bottleneck"


def verdicts(
    run: Annotated[
        Path | None, typer.Option(help="Folder of a finished run, whose states are used too.")
    ] = None,
    worlds: Annotated[
        int, typer.Option(min=1, max=10**6, help="Simulated worlds of each kind, and of the run.")
    ] = 1000,
    tiny_worlds: Annotated[
        int, typer.Option(min=1, max=10**6, help="Worlds of each kind on tiny random models.")
    ] = 200,
    parts: Annotated[str, typer.Option(help="Some of simulated,tiny,run.")] = ALL,
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """How often each verdict holds where nothing is there, and where an effect is planted.

    A quick look: --worlds 20 --parts simulated.
    """
    from workbench.bench.verdict_page import record_rows, table_rows, write_verdict_bench
    from workbench.bench.verdicts import PARTS, bench_verdicts

    screen = Console(stderr=True)
    if not no_figures:
        require_claimable(figures / VERDICT_FOLDER, PLACE)
    with bars(screen):
        found = bench_verdicts(
            worlds=worlds, tiny_worlds=tiny_worlds, run=run, parts=names_of("--parts", parts, PARTS)
        )
    for note in found.notes:
        screen.print(Text(safe_text(f"Note: {note}")))
    if as_json:
        sys.stdout.write(json.dumps(record_rows(found.rates), indent=1, allow_nan=False) + "\n")
    else:
        show(table_rows(found.rates), found.values)
    if not no_figures:
        draw(screen, figures / VERDICT_FOLDER, lambda folder: write_verdict_bench(folder, found))


def bottleneck(
    worlds: Annotated[
        int, typer.Option(min=0, max=10**6, help="Planted models of each verdict and remedy.")
    ] = 20,
    nulls: Annotated[
        int, typer.Option(min=0, max=10**6, help="Models whose grades are shuffled, in all.")
    ] = 200,
    graded: Annotated[
        int,
        typer.Option(
            min=0, max=10**6, help="Models of each verdict, strength of its clue and size."
        ),
    ] = 0,
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """How often the verdict on the text bottleneck is right on models in which it is planted.

    A quick look: --worlds 2 --nulls 0. All of it takes about twenty minutes a core.
    """
    from workbench.bench.bottleneck_page import record_rows, table_rows, write_bottleneck_bench
    from workbench.bench.bottleneck_rates import bench_bottleneck

    screen = Console(stderr=True)
    if not no_figures:
        require_claimable(figures / BOTTLENECK_FOLDER, PLACE)
    with bars(screen):
        found = bench_bottleneck(worlds=worlds, nulls=nulls, graded=graded)
    if as_json:
        sys.stdout.write(json.dumps(record_rows(found), indent=1, allow_nan=False) + "\n")
    else:
        show(table_rows(found), found.values)
    if not no_figures:
        draw(
            screen,
            figures / BOTTLENECK_FOLDER,
            lambda folder: write_bottleneck_bench(folder, found),
        )


def coverage(
    tables: Annotated[
        int, typer.Option(min=2, max=10**6, help="Simulated tables of each law and size.")
    ] = 200,
    sizes: Annotated[
        str, typer.Option(help="Answers of a table, from 10 to 1,000,000.")
    ] = "60,100,200,2000",
    items: Annotated[str, typer.Option(help="Questions of a patching sweep.")] = "16,64,128",
    laws: Annotated[str, typer.Option(help="Some of the laws, or all.")] = ALL,
    measures: Annotated[str, typer.Option(help="Some of the measures, or all.")] = ALL,
    resamples: Annotated[
        int, typer.Option(min=20, max=10**6, help="Resamples of each interval.")
    ] = 300,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the tables.")] = 0,
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """How often the intervals miss the truth, on simulated tables and sweeps of known law.

    A minute: --measures auroc2,ece,brier --tables 100. All of it takes about half an hour a core.
    """
    from workbench.bench.coverage import Study
    from workbench.bench.coverage import coverage as simulate
    from workbench.bench.coverage_laws import ANSWER_LAWS, SWEEP_LAWS
    from workbench.bench.coverage_page import json_of, table_rows, write_coverage

    screen = Console(stderr=True)
    study = Study(
        tables=tables,
        sizes=wholes("--sizes", sizes),
        items=wholes("--items", items),
        laws=names_of("--laws", laws, (*ANSWER_LAWS, *SWEEP_LAWS)),
        measures=names_of("--measures", measures, ()),
        resamples=resamples,
        seed=seed,
    )
    if not no_figures:
        require_claimable(figures / COVERAGE_FOLDER, PLACE)
    with bars(screen):
        cells = simulate(study)
    if as_json:
        sys.stdout.write(json_of(study, cells) + "\n")
    else:
        show(table_rows(cells), {})
    if not no_figures:
        draw(
            screen,
            figures / COVERAGE_FOLDER,
            lambda folder: write_coverage(folder, study, cells),
        )


def wholes(option: str, given: str) -> tuple[int, ...]:
    names = listed(option, given)
    if not all(name.isdecimal() and 10 <= int(name) <= 10**6 for name in names):
        raise WorkbenchError(
            f"{option} takes whole numbers from 10 to 1,000,000 with commas between; got {given!r}"
        )
    return tuple(int(name) for name in names)
