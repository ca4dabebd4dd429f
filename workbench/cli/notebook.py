"""Define ``workbench notebook``, which lists the scripts that are read as notebooks and writes any
of them as one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.terminal_text import safe_line


def notebook(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="A tutorial or an analysis; without one they are listed."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; default: NAME.ipynb, here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a tutorial or an analysis as a notebook, or list them. Start with 'tour'."""
    from workbench.experiments.scripts import find_scripts, script_named, write_notebook

    if name is None:
        scripts = find_scripts()
        width = max(map(len, scripts))
        for script in scripts.values():
            sys.stdout.write(f"{script.name:<{width}}  {safe_line(script.title)}\n")
        return
    chosen = script_named(name)
    path = Path(f"{chosen.name}.ipynb") if out is None else out
    write_notebook(chosen, path, force)
    sys.stdout.write(f"{safe_line(str(path))}\n")
