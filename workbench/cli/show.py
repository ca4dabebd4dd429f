"""Define ``workbench show``: the live bench of a run or a model."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.options import FiguresFolder
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line


def show(
    name: Annotated[str, typer.Argument(help="A finished run's name, or a model.")] = "default",
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', 'cuda:1', ...")] = "auto",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """The live bench: a page on this machine to patch by hand. Ends by Ctrl-C.

    A name of a finished run shows its questions, its tuned model and its probe; any other name is
    that of a model.
    """
    from workbench.live.serve import serve

    def tell(address: str) -> None:
        sys.stdout.write(
            f"{safe_line(address)}\n"
            "Whoever has this address can use the model until you press Ctrl-C.\n"
        )
        sys.stdout.flush()
        if open_:
            webbrowser.open(address)

    with bars(Console(stderr=True)):
        serve(name, runs=runs, figures=figures, device=device, port=port, tell=tell)
