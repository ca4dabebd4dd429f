"""Define ``workbench bench stream``: what reading a model layer by layer costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workbench.cli.bench import ALL, names_of, show
from workbench.cli.options import PrintJson
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line


def stream(
    prompts: Annotated[int, typer.Option(min=16, max=10**6, help="Prompts of a pass.")] = 64,
    batches: Annotated[int, typer.Option(min=1, max=10**6, help="Batches they are cut into.")] = 8,
    tokens: Annotated[int, typer.Option(min=2, max=10**6, help="Tokens of each prompt.")] = 32,
    layers: Annotated[int, typer.Option(min=1, max=1000, help="Layers of the model.")] = 28,
    width: Annotated[
        int, typer.Option(min=64, max=65_536, help="Its width, a multiple of 128.")
    ] = 1536,
    repeats: Annotated[
        int, typer.Option(min=1, max=1000, help="Timed repeats; medians are reported.")
    ] = 1,
    parts: Annotated[str, typer.Option(help="Some of pass,memory,layer,library.")] = ALL,
    folder: Annotated[
        Path | None, typer.Option(help="Where random weights are written meanwhile.")
    ] = None,
    as_json: PrintJson = False,
) -> None:
    """A model read layer by layer beside the same in memory, on random weights of a 1.5B shape and
    one layer of a 70B shape, ratios within one run; from that layer the plan of the whole model.

    A quick look: --layers 4 --width 512 --parts pass,memory.
    """
    from workbench.bench.stream import PARTS, bench_stream
    from workbench.bench.stream_checkpoint import shape_of
    from workbench.bench.stream_rows import plan_rows, plan_sentences, table_rows

    with bars(Console(stderr=True)):
        found = bench_stream(
            shape=shape_of(layers, width),
            prompts=prompts,
            batches=batches,
            tokens=tokens,
            repeats=repeats,
            parts=names_of("--parts", parts, PARTS),
            folder=folder,
        )
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
    else:
        show(table_rows(found), {})
        for sentence in plan_sentences(found):
            sys.stdout.write(f"\n{safe_line(sentence)}\n")
        rest = {key: value for key, value in found.items() if not key.startswith("plan.")}
        show(plan_rows(found), rest)
