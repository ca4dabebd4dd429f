"""Define ``workbench experiment``, which lists the experiments and runs any of them from its
parameters to its page.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import FiguresFolder, KeepCodeVersion, Replace
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.settings.file import read_assignments


def experiment(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="An experiment; without one they are listed."),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PARAMETER=VALUE]...", help="Its parameters, as lengths=0.5,1."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="One parameter or setting, as layers=4 or model.name=org/model."
        ),
    ] = None,
    run_name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the run; default: the experiment's own."),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Run an experiment and write its page, or list the experiments with their parameters.
    Resumes where it was stopped.
    """
    from workbench.experiments.catalogue import Request, experiment_named, perform
    from workbench.pipeline.stages import Reuse
    from workbench.report import describe

    if name is None:
        _list()
        return
    chosen = experiment_named(name)
    request = Request(
        run_name,
        config,
        read_assignments([*(parameters or []), *(set_ or [])]),
        Reuse(replace, keep_code_version),
    )
    screen = Console(stderr=True)
    with bars(screen):
        finished = perform(chosen, request, runs=runs, figures=figures)
    for line in describe(finished.page):
        sys.stdout.write(safe_line(line) + "\n")
    screen.print(Text(safe_text(f"Figures: {finished.index}")))


def _list() -> None:
    from workbench.experiments.catalogue import EXPERIMENTS

    width = max(map(len, EXPERIMENTS))
    for name, row in EXPERIMENTS.items():
        sys.stdout.write(f"{name:<{width}}  {row.about}\n")
