"""Define ``workbench plan``: what a run costs, before anything is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import PrintJson
from workbench.cli.terminal import bars, show_rows
from workbench.cli.terminal_text import safe_text
from workbench.config import load_config
from workbench.settings.file import read_assignments


def plan(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder, an embedded model, a Hugging Face id on this machine, or one of "
            "llama-3.1-8b, llama-3.1-70b, llama-3.1-405b, qwen2.5-1.5b, qwen2.5-32b, qwen2.5-72b, "
            "gemma-3-27b.",
        ),
    ] = "default",
    devices: Annotated[
        str,
        typer.Option(
            help="'1x24GB,disk=5GB/s', '8xH100', 'cpu=24GB,cores=2': accelerators by size or "
            "kind, main memory, cores, and the disk's rate."
        ),
    ] = "cpu=16GB,cores=4",
    questions: Annotated[
        int | None, typer.Option(min=80, max=10**8, help="Questions; none for the settings' limit.")
    ] = None,
    placement: Annotated[
        Literal["device", "stream", "auto", "tensor", "ndif"] | None,
        typer.Option(help="Where the model lies; none for the cheapest that fits."),
    ] = None,
    quantize: Annotated[
        Literal["none", "int8", "int4", "fp8", "nf4", "bnb-int8"] | None,
        typer.Option(help="How layers are quantised; nf4 for four bits in memory."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Time one layer of this shape on this machine first."),
    ] = False,
    bottleneck: Annotated[
        bool,
        typer.Option("--bottleneck/--no-bottleneck", help="Plan the text-bottleneck analysis too."),
    ] = True,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, as model.dtype=bfloat16.")
    ] = None,
    as_json: PrintJson = False,
) -> None:
    """What a run costs, stage by stage: passes, tokens, operations, memory and time, and which
    placement is cheapest. Reads the model's configuration alone.
    """
    assigned = {"model.name": model, **read_assignments(set_ or [])}
    if quantize is not None:
        assigned["model.quantize"] = quantize
    chosen = load_config(config, assigned)
    from workbench.plan.machine import parse_machine
    from workbench.plan.plan import make_plan
    from workbench.plan.rows import assumptions, placement_rows, plan_values, stage_rows

    machine, timed = parse_machine(devices), None
    with bars(Console(stderr=True)):
        if measure:
            from workbench.bench.layer_times import time_layers
            from workbench.plan.shape import decoder_shape

            timed = time_layers(decoder_shape(model), chosen.model)
        found = make_plan(
            chosen,
            machine,
            count=questions,
            placement=placement,
            timed=timed,
            bottleneck=bottleneck,
        )
    if as_json:
        sys.stdout.write(json.dumps(plan_values(found), indent=2, allow_nan=False) + "\n")
        return
    out = Console()
    if not out.is_terminal:
        out = Console(width=220)
    out.print(
        Text(f"{found.shape.name}: {found.questions:,} questions on {machine.stated}", style="bold")
    )
    show_rows(out, stage_rows(found))
    out.print()
    show_rows(out, placement_rows(found))
    out.print()
    for sentence in assumptions(found):
        out.print(Text(safe_text(sentence)))
