"""Define ``workbench bench quantised``: what quantising a model's weights at load costs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.bench import show
from workbench.cli.lists import listed
from workbench.cli.options import PrintJson
from workbench.cli.terminal import bars
from workbench.config import load_config


def quantised(
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    schemes: Annotated[str, typer.Option(help="Some of int8,int4,fp8,nf4,bnb-int8.")] = "int8,int4",
    questions: Annotated[
        int, typer.Option(min=20, max=10**6, help="Built-in questions of each sample.")
    ] = 200,
    samples: Annotated[
        int, typer.Option(min=1, max=1000, help="Samples of questions, none shared.")
    ] = 2,
    as_json: PrintJson = False,
) -> None:
    """What quantised weights cost in AUROC2 and move in the readout, on the same answers."""
    from workbench.bench.quantised import bench_quantised, reading_row

    load_config(None, {"model.name": model})
    with bars(Console(stderr=True)):
        found = bench_quantised(
            model, schemes=listed("--schemes", schemes), questions=questions, samples=samples
        )
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    else:
        show([reading_row(each) for each in found], {})
