"""Define the options that several commands share, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Placement = Annotated[
    Literal["device", "auto", "tensor", "stream", "ndif"],
    typer.Option(
        help="'device': all weights on one; 'auto': layers on several; 'tensor': matrices split "
        "over the processes of torchrun; 'stream': layer by layer from files, for a model larger "
        "than memory; 'ndif': on a server."
    ),
]
Remote = Annotated[
    str,
    typer.Option(
        help="The server of --placement ndif: 'ndif', an address, or 'local' for a rehearsal."
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Do results of other settings under this name again.")
]
KeepCodeVersion = Annotated[
    bool,
    typer.Option(
        "--keep-code-version", help="Go on from results of other code or library versions."
    ),
]
PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FiguresFolder = Annotated[Path, typer.Option(help="Folder of all figures.")]
NoFigures = Annotated[bool, typer.Option("--no-figures", help="Write no figure, table or page.")]
