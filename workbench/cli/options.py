"""Define the options that several commands share, each once."""

from __future__ import annotations

from typing import Annotated

import typer

Replace = Annotated[
    bool, typer.Option("--replace", help="Do results of other settings under this name again.")
]
KeepCodeVersion = Annotated[
    bool,
    typer.Option(
        "--keep-code-version", help="Go on from results of other code or library versions."
    ),
]
