"""Define ``workbench bench live``: how long a person waits at the live bench."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.bench import show
from workbench.cli.options import PrintJson
from workbench.cli.terminal import bars
from workbench.config import load_config


def live(
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    repeats: Annotated[
        int, typer.Option(min=1, max=1000, help="Timed repeats; medians are reported.")
    ] = 3,
    as_json: PrintJson = False,
) -> None:
    """Seconds of a click, of estimates and of true patches at the live bench, beside a forward."""
    from workbench.bench.live import bench_live, table_rows

    load_config(None, {"model.name": model})
    with bars(Console(stderr=True)):
        found = bench_live(model, repeats=repeats)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
    else:
        show(table_rows(found), found)
