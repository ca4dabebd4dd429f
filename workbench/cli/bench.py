"""Define ``workbench bench``: what the workbench costs, measured on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.cli.lists import listed
from workbench.cli.options import FiguresFolder, NoFigures, PrintJson
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.config import load_config
from workbench.files.names import folder_named
from workbench.files.ownership import require_claimable

if TYPE_CHECKING:
    from workbench.models import Precision

FOLDER = "bench_sweep"
TEACH_FOLDER = "bench_teach"
RUN_FOLDER = "bench_run"
ALL = "all"
PLACE = "another --figures, or pass --no-figures"
NONE = "none"
_PRECISION = "Matrix products of everyone: 'float32', 'bfloat16' or 'auto'."


def sweep(
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    rows: Annotated[int, typer.Option(min=1, max=10**6, help="Prompts in the batch.")] = 8,
    tokens: Annotated[int, typer.Option(min=1, max=10**6, help="Tokens of each prompt.")] = 150,
    repeats: Annotated[
        int,
        typer.Option(min=1, max=10**6, help="Timed repeats of fast methods; medians are reported."),
    ] = 5,
    library_repeats: Annotated[
        int, typer.Option(min=1, max=10**6, help="Timed repeats of whole libraries and of the map.")
    ] = 1,
    parts: Annotated[
        str, typer.Option(help="Some of sweep,map,knockout,texts,record,lens,growth,memory.")
    ] = ALL,
    compare_with: Annotated[
        str, typer.Option(help="Some of loop,transformer-lens,nnsight,pyvene, or none.")
    ] = ALL,
    precision: Annotated[str, typer.Option(help=_PRECISION)] = "float32",
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """The packed engine beside one plain forward and beside other libraries, ratios within one run.

    A minute: --parts sweep,record --compare-with none. All of it takes about a thousand plain
    forwards.
    """
    from workbench.bench.libraries import LIBRARIES
    from workbench.bench.page import table_rows, write_bench
    from workbench.bench.sweep import PARTS, bench_sweep

    screen = Console(stderr=True)
    load_config(None, {"model.name": model})
    if not no_figures:
        require_claimable(figures / FOLDER, PLACE)
    with bars(screen):
        found = bench_sweep(
            model,
            rows=rows,
            tokens=tokens,
            repeats=repeats,
            library_repeats=library_repeats,
            parts=names_of("--parts", parts, PARTS),
            libraries=names_of("--compare-with", compare_with, tuple(LIBRARIES)),
            precision=cast("Precision", precision),
        )
    for note in found.notes:
        screen.print(Text(safe_text(f"Note: {note}")))
    if as_json:
        sys.stdout.write(
            json.dumps(found.values | {"notes": found.notes}, indent=2, allow_nan=False) + "\n"
        )
    else:
        show(table_rows(found.values), found.values)
    if not no_figures:
        draw(screen, figures / FOLDER, lambda folder: write_bench(folder, found))


def teach(
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    rows: Annotated[
        int, typer.Option(min=8, max=10**6, help="Training examples, a multiple of 8.")
    ] = 64,
    epochs: Annotated[int, typer.Option(min=1, max=10**5, help="Times each example is seen.")] = 4,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="Trainings each way, with a seed each; medians are reported."
        ),
    ] = 3,
    start_layer: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Where the partial adapter begins; none: half depth."),
    ] = None,
    parts: Annotated[str, typer.Option(help="Some of speed,exact,memory.")] = ALL,
    precision: Annotated[str, typer.Option(help=_PRECISION)] = "float32",
    as_json: PrintJson = False,
    figures: FiguresFolder = Path("figures"),
    no_figures: NoFigures = False,
) -> None:
    """Training beside TRL's SFTTrainer on the same data, adapter and steps, ratios within one run.

    A quick look: --rows 16 --epochs 2 --rounds 1 --parts speed.
    """
    from workbench.bench.teach import PARTS, bench_teach
    from workbench.bench.teach_page import table_rows, write_teach_bench

    screen = Console(stderr=True)
    load_config(None, {"model.name": model})
    if not no_figures:
        require_claimable(figures / TEACH_FOLDER, PLACE)
    with bars(screen):
        found = bench_teach(
            model,
            rows=rows,
            epochs=epochs,
            rounds=rounds,
            start_layer=start_layer,
            parts=names_of("--parts", parts, PARTS),
            precision=cast("Precision", precision),
        )
    for note in found.notes:
        screen.print(Text(safe_text(f"Note: {note}")))
    if as_json:
        sys.stdout.write(
            json.dumps(found.values | {"notes": found.notes}, indent=2, allow_nan=False) + "\n"
        )
    else:
        show(table_rows(found.values), found.values)
    if not no_figures:
        draw(screen, figures / TEACH_FOLDER, lambda folder: write_teach_bench(folder, found))


def run(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The finished run's name.")
    ] = "default",
    as_json: PrintJson = False,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    no_figures: Annotated[
        bool, typer.Option("--no-figures", help="Write no table or page.")
    ] = False,
) -> None:
    """Where the time of a finished run goes, stage by stage, beside the floor that its matrix
    products alone set on this machine.
    """
    from workbench.bench.run import bench_run
    from workbench.bench.run_page import table_rows, write_run_bench
    from workbench.loop import open_run

    screen = Console(stderr=True)
    folder = folder_named(runs, name)
    if not no_figures:
        require_claimable(figures / RUN_FOLDER, PLACE)
    with bars(screen):
        found = bench_run(open_run(folder, folder_named(figures, name)))
    if as_json:
        sys.stdout.write(json.dumps(found.values, indent=2, allow_nan=False) + "\n")
    else:
        show(table_rows(found.values), {})
    if not no_figures:
        draw(screen, figures / RUN_FOLDER, lambda place: write_run_bench(place, found))


def measure(
    rows: Annotated[
        int, typer.Option(min=100, max=10**9, help="Answers of the large table.")
    ] = 1_000_000,
    as_json: PrintJson = False,
) -> None:
    """Seconds and memory of all metrics: 10,000 paired resamples of 1,000 answers, and a large
    table.
    """
    from workbench.bench.measure import bench_measure

    with bars(Console(stderr=True)):
        result = bench_measure(rows)
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        _lines(result)


def names_of(option: str, given: str, every: tuple[str, ...]) -> tuple[str, ...]:
    if given == ALL:
        return every
    return () if given == NONE else tuple(listed(option, given))


def show(rows: list[dict[str, str]], values: dict[str, Any]) -> None:
    out = Console()
    if not out.is_terminal:
        out = Console(width=200)
    table = Table(*rows[0], box=None, header_style="bold") if rows else None
    if table is not None:
        for row in rows:
            table.add_row(*(Text(safe_line(value)) for value in row.values()))
        out.print(table)
    _lines(values)


def _lines(values: dict[str, Any]) -> None:
    for key, value in values.items():
        sys.stdout.write(f"{safe_line(key)}\t{safe_line(value)}\n")


def draw(screen: Console, folder: Path, write: Callable[[Path], Path]) -> None:
    screen.print(Text(safe_text(f"Figures: {write(folder)}")))
