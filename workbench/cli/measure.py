"""Define ``workbench measure FILE``: every measure of anyone's table of confidence and correctness,
without a model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.cli.options import FiguresFolder
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line
from workbench.files.ownership import require_claimable
from workbench.settings.defaults import BINS, LEVEL

if TYPE_CHECKING:
    from workbench.measure.table_file.measure import Measured

_WIDE = 200


def measure(
    file: Annotated[
        Path, typer.Argument(help="CSV, TSV, JSON, JSON lines or parquet: one row per answer.")
    ],
    by: Annotated[
        list[str] | None, typer.Option(help="Column whose values make a group; may be repeated.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Group that every other is compared with, by question id.")
    ] = None,
    grades_from: Annotated[
        Literal["own", "first"],
        typer.Option(
            help="Grades of a comparison: each group's own, or the compared group's for both."
        ),
    ] = "own",
    confidence: Annotated[str | None, typer.Option(help="Column of the confidence.")] = None,
    correct: Annotated[
        str | None, typer.Option(help="Column of the grade (1/0, true/false, yes/no).")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of the question's id.")] = None,
    domain: Annotated[str | None, typer.Option(help="Column of the question's domain.")] = None,
    retrieved: Annotated[
        str | None, typer.Option(help="Column of the grade with retrieved text.")
    ] = None,
    stimulus: Annotated[
        str | None, typer.Option(help="Column of the true one of two alternatives (0/1).")
    ] = None,
    choice: Annotated[
        str | None, typer.Option(help="Column of the chosen one of two alternatives (0/1).")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Largest value of the scale (1, 10, 100); default: found.")
    ] = None,
    higher_is_less_sure: Annotated[
        bool,
        typer.Option(
            "--higher-is-less-sure",
            help="The column holds uncertainties: confidence is 1 - value / scale.",
        ),
    ] = False,
    duplicates: Annotated[
        Literal["keep", "first", "last", "refuse"],
        typer.Option(help="What to do with ids that occur twice in a group."),
    ] = "keep",
    bins: Annotated[int, typer.Option(help="Bins of reliability and ECE, 1 to 1,000.")] = BINS,
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples, 1 to 100,000; default: 2,000.")
    ] = None,
    level: Annotated[float, typer.Option(help="Level of the intervals, between 0 and 1.")] = LEVEL,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per group.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="Folder of the figures; default: the file's name.")
    ] = None,
    figures: FiguresFolder = Path("figures"),
    no_figures: Annotated[
        bool, typer.Option("--no-figures", help="Write no figures and no page.")
    ] = False,
) -> None:
    """Discrimination, calibration, selective risk and rating scale of a table of confidence and
    correctness.
    """
    from workbench.files.names import folder_named
    from workbench.measure.groups import Settings
    from workbench.measure.table_file.measure import measure_file
    from workbench.settings.defaults import RESAMPLES

    screen = Console(stderr=True)
    chosen = RESAMPLES if resamples is None else resamples
    settings = Settings(bins=bins, resamples=chosen, level=level, seed=seed)
    folder = None if no_figures else folder_named(figures, file.stem if name is None else name)
    given = {
        "confidence": confidence,
        "correct": correct,
        "id": id_,
        "domain": domain,
        "retrieved": retrieved,
        "stimulus": stimulus,
        "choice": choice,
    }
    if folder is not None:
        require_claimable(folder, "another --name or --figures, or pass --no-figures")
    with bars(screen):
        measured = measure_file(
            file,
            settings,
            columns={role: column for role, column in given.items() if column is not None},
            by=by or (),
            scale=scale,
            duplicates=duplicates,
            against=reference,
            judge=grades_from,
            higher_is_less_sure=higher_is_less_sure,
            patient=resamples is not None,
        )
    _say(screen, measured)
    if as_json:
        sys.stdout.write(
            json.dumps(measured.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        )
    else:
        _show(measured)
    if folder is not None:
        _draw(screen, folder, file.name, measured)


def _say(screen: Console, measured: Measured) -> None:
    for note in measured.answers.notes:
        screen.print(Text(safe_line(f"Note: {note}")))
    for group, measures in measured.groups.items():
        for note in measures.notes:
            screen.print(Text(safe_line(f"Warning: {group}: {note}"), style="yellow"))


def _show(measured: Measured) -> None:
    from workbench.report.measure_page import TERMINAL, difference_rows, table_rows

    out = Console()
    if not out.is_terminal:
        out = Console(width=_WIDE)
    out.print(_table(table_rows(measured, TERMINAL)))
    if measured.paired:
        out.print(Text(f"\nDifference to {safe_line(measured.against)}, on the questions of both:"))
        out.print(_table(difference_rows(measured)))


def _table(rows: list[dict[str, str]]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for head in rows[0]:
        table.add_column(
            Text(head), justify="left" if head == "group" else "right", overflow="fold"
        )
    for row in rows:
        # Only intervals may break their line.
        table.add_row(
            *(Text(safe_line(value) if head == "group" else value) for head, value in row.items())
        )
    return table


def _draw(screen: Console, folder: Path, title: str, measured: Measured) -> None:
    from workbench.report.measure_page import write_measured

    page = write_measured(folder, f"Confidence in {title}", measured)
    screen.print(Text(safe_line(f"Figures: {page}")))
