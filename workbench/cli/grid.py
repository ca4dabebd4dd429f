"""Define ``workbench grid``: run many runs, say where they stand, gather their numbers."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from workbench.cli.options import FiguresFolder, KeepCodeVersion, PrintJson, Replace
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.errors import WorkbenchError
from workbench.settings.file import read_assignments

if TYPE_CHECKING:
    from workbench.grid.engine import Engine, Resources
    from workbench.grid.run import Grid

GridPath = Annotated[Path, typer.Argument(metavar="GRID", help="YAML or JSON file with the axes.")]
GridName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the grid's folders; default: that of its file."),
]
GridChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One key of the grid file, as seeds.count=2 or common.teach.epochs=1."
    ),
]
RunsFolder = Annotated[Path, typer.Option(help="Folder of all runs.")]


class RunUnlessNamed(TyperGroup):
    """A group whose command is ``run`` where none is named: ``workbench grid GRID``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


grid = typer.Typer(
    cls=RunUnlessNamed,
    help="Many runs: models x question sets x recipes x settings x seeds, each exactly once.",
    no_args_is_help=True,
)


@grid.command()
def run(
    file: GridPath,
    name: GridName = None,
    set_: GridChanges = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells and run nothing.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray", "slurm"],
        typer.Option(
            help="'local': processes of this machine; 'ray': a cluster; 'slurm': a queue."
        ),
    ] = "local",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once, on this machine.")] = 1,
    cpus: Annotated[int, typer.Option(min=1, help="Cores of one run.")] = 1,
    gpus: Annotated[int, typer.Option(min=0, help="Accelerators of one run.")] = 0,
    memory: Annotated[
        float | None,
        typer.Option(min=0.001, help="GB of memory of one run, for 'ray' and 'slurm'."),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Times a run is started again whose worker was lost.")
    ] = 2,
    address: Annotated[
        str | None,
        typer.Option(help="Of the Ray cluster, or 'auto'; default: one on this machine."),
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="One parameter of submitit, as timeout_min=120 or slurm_partition=gpu."),
    ] = None,
    local: Annotated[
        bool,
        typer.Option("--local", help="Rehearse 'slurm' with submitit's processes on this machine."),
    ] = False,
    runs: RunsFolder = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Run every cell of a grid that is not finished, then gather all in one table and page. Goes on
    where it was stopped; exits with 2 where a run failed.
    """
    from workbench.pipeline.stages import Reuse

    screen = Console(stderr=True)
    opened = _opened(file, name, set_, runs, figures, Reuse(replace, keep_code_version))
    if dry_run:
        for cell in opened.cells:
            sys.stdout.write(safe_line(cell.name) + "\n")
        return
    from workbench.grid.engine import Resources
    from workbench.grid.run import run_grid

    needs = Resources(cpus, gpus, None if memory is None else int(memory * 1e9))
    _refuse_unused(engine, address, slurm, local)
    chosen = _engine(engine, jobs, needs, address, slurm or [], local, opened)
    with bars(screen):
        outcome = run_grid(opened, chosen, retries=retries)
    _say_outcome(screen, opened, outcome.finished, outcome.failed)
    if outcome.failed:
        raise typer.Exit(2)


@grid.command()
def status(
    file: GridPath,
    name: GridName = None,
    set_: GridChanges = None,
    as_json: PrintJson = False,
    runs: RunsFolder = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Say of every cell whether it is finished, running, failed, stopped or missing, and why."""
    from workbench.pipeline.stages import Reuse

    opened = _opened(file, name, set_, runs, figures, Reuse(keep_code_version=keep_code_version))
    states = opened.states()
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in states], indent=1) + "\n")
        return
    width = max(len(one.name) for one in states)
    for one in states:
        line = f"{one.name:{width}}  {one.state:8}  {one.reason}"
        sys.stdout.write(safe_line(line).rstrip() + "\n")
    counts = Counter(one.state.value for one in states)
    sys.stdout.write(", ".join(f"{count} {state}" for state, count in counts.items()) + "\n")
    for left in opened.left_over():
        sys.stdout.write(safe_line(f"{left}: a run of no cell; it is not counted") + "\n")


@grid.command()
def table(
    file: GridPath,
    name: GridName = None,
    set_: GridChanges = None,
    runs: RunsFolder = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Gather the cells that are finished by now in the table and the page."""
    from workbench.grid.run import write_grid_page
    from workbench.pipeline.stages import Reuse
    from workbench.report import describe

    opened = _opened(file, name, set_, runs, figures, Reuse(keep_code_version=keep_code_version))
    page, path = write_grid_page(opened)
    for line in describe(page):
        sys.stdout.write(safe_line(line) + "\n")
    Console(stderr=True).print(Text(safe_text(f"Page: {path}")))


@grid.command(hidden=True)
def cell(task: Path, attempt: str) -> None:
    """Do one cell, as the engine 'local' calls it."""
    from workbench.grid.worker import perform_cell

    with bars(Console(stderr=True)):
        perform_cell(str(task), attempt)


def _opened(
    file: Path,
    name: str | None,
    set_: Sequence[str] | None,
    runs: Path,
    figures: Path,
    reuse: Any,
) -> Grid:
    from workbench.grid.run import open_grid

    return open_grid(file, name, runs, figures, reuse, read_assignments(set_ or []))


def _refuse_unused(
    engine: str, address: str | None, slurm: Sequence[str] | None, local: bool
) -> None:
    """Refuse options of another engine than the one that was chosen."""
    for option, of, given in (
        ("--address", "ray", address is not None),
        ("--slurm", "slurm", bool(slurm)),
        ("--local", "slurm", local),
    ):
        if given and engine != of:
            raise WorkbenchError(
                f"{option} is an option of --engine {of}, and the engine is {engine!r}; leave it "
                "out or change the engine."
            )


def _engine(
    name: str,
    jobs: int,
    needs: Resources,
    address: str | None,
    slurm: Sequence[str],
    local: bool,
    opened: Grid,
) -> Engine:
    if name == "ray":
        from workbench.grid.ray_engine import RayEngine, import_ray

        import_ray(alone=address is None)
        return RayEngine(address, needs)
    if name == "slurm":
        from workbench.grid.slurm_engine import SlurmEngine, import_submitit

        import_submitit()
        return SlurmEngine(
            opened.folders.folder.absolute() / "submitit",
            needs,
            local,
            read_assignments(slurm),
            slots=jobs if local else None,
        )
    from workbench.grid.local_engine import LocalEngine

    return LocalEngine(jobs, needs)


def _say_outcome(screen: Console, opened: Grid, finished: Sequence[str], failed: Any) -> None:
    for name, reason in failed.items():
        screen.print(Text(safe_text(f"{name} failed: {reason}")), soft_wrap=True)
    screen.print(Text(safe_text(f"{len(finished)} of {len(opened.cells)} cells are finished.")))
    page = opened.folders.figures / "index.html"
    screen.print(Text(safe_text(f"Page: {page}\nTable: {opened.folders.folder / 'grid.parquet'}")))
