"""Define ``workbench bench plan`` and ``workbench bench device``: plans beside what was measured,
and one table of what a device does.
"""

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
from workbench.settings.file import read_assignments


def plan(
    model: Annotated[
        str, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = "default",
    questions: Annotated[int, typer.Option(min=80, max=10**6, help="Built-in questions.")] = 100,
    last: Annotated[
        str, typer.Option(help="The last stage that is run: answer, elicit, ..., patch.")
    ] = "patch",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, as questions.source=mine.jsonl.")
    ] = None,
    as_json: PrintJson = False,
) -> None:
    """Planned passes, tokens, seconds and memory of a run beside those measured."""
    from workbench.bench.plan import bench_plan, table_rows

    config = load_config(
        None,
        {
            "model.name": model,
            "questions.limit": questions,
            "patch.n_questions": 16,
            "patch.share": 0,
            **read_assignments(set_ or []),
        },
    )
    with bars(Console(stderr=True)):
        found = bench_plan(config, last)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
    else:
        rest = {key: value for key, value in found.items() if key.split(".")[0] in TOTALS}
        show(table_rows(found), rest)


TOTALS = ("model", "precision", "memory", "total")


def device(
    model: Annotated[
        str | None,
        typer.Option(help="A model; none for one that fits the device's memory."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=10**6, help="Prompts in the batch.")] = 8,
    tokens: Annotated[int, typer.Option(min=8, max=10**6, help="Tokens of each prompt.")] = 150,
    seconds: Annotated[
        float, typer.Option(min=5, max=10**5, help="After which no further part is begun.")
    ] = 480,
    as_json: PrintJson = False,
) -> None:
    """One table of what this device does, in eight minutes at most: the packed sweep beside one
    forward and beside peers, streaming from the disk, and what rounding to bfloat16 moves.
    """
    from workbench.bench.device import bench_device

    with bars(Console(stderr=True)):
        found = bench_device(model, rows=rows, tokens=tokens, seconds=seconds)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
    else:
        show([{"": key, "value": str(value)} for key, value in found.items()], {})
