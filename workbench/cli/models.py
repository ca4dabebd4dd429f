"""Define ``workbench models``: what is known of models, and the cache of converted ones."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.console import Console

from workbench.cli.bench import show
from workbench.cli.lists import listed
from workbench.cli.options import PrintJson
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line

models = typer.Typer(
    help="The embedded models, what can be analysed of a model and of every family, and the "
    "cache of converted models.",
    no_args_is_help=True,
)
_HOLDS = {True: "yes", False: "no"}


@models.command()
def verify() -> None:
    """Hash every file of every converted model and compare it with what was written."""
    from workbench.models.cache import verify_cache

    with bars(Console(stderr=True)):
        found = verify_cache()
    for entry in found:
        sys.stdout.write(safe_line(f"{entry.folder}: {entry.damage or 'whole'}") + "\n")
    if any(entry.damage for entry in found):
        raise typer.Exit(2)


@models.command()
def embedded(
    as_json: PrintJson = False,
) -> None:
    """List the models that are known by a name of their own and fetched when first asked for."""
    from workbench.models.embedded import converted_folder
    from workbench.models.embedded_models import EMBEDDED

    cached = {row.name: converted_folder(row).is_dir() for row in EMBEDDED.values()}
    if as_json:
        told = [{**asdict(row), "cached": cached[row.name]} for row in EMBEDDED.values()]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    rows = [
        {
            "name": row.name,
            "model": row.title,
            "what": row.what,
            "licence": row.licence,
            "download": f"{row.download_bytes / 1e9:.2f} GB",
            "converted": f"{row.converted_bytes / 1e9:.2f} GB",
            "in the cache": _HOLDS[cached[row.name]],
        }
        for row in EMBEDDED.values()
    ]
    show(rows, {})


@models.command()
def check(
    model: Annotated[
        str,
        typer.Argument(help="An embedded model, a Hugging Face id, a folder, or a GGUF file."),
    ],
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda', 'cuda:1', ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="Dtype of the weights, or 'auto'.")] = "auto",
    quantize: Annotated[
        str, typer.Option(help="'none', or a scheme as in model.quantize.")
    ] = "none",
    attention: Annotated[
        Literal["sdpa", "eager"], typer.Option(help="The attention kernel.")
    ] = "sdpa",
    as_json: PrintJson = False,
) -> None:
    """Load a model, verify it anew, and print where its parts are and every check."""
    from workbench.loading import load_model
    from workbench.loading.verify import checks_of, described

    with bars(Console(stderr=True)):
        lm = load_model(
            model,
            device=device,
            dtype=dtype,
            quantize=quantize,
            attention=attention,
            anew=True,
        )
    row, checks = described(lm), checks_of(lm)
    if as_json:
        told = {"architecture": row, "checks": [asdict(each) for each in checks]}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    show([{"part": name, "where": str(value)} for name, value in row.items()], {})
    show([{"check": c.what, "holds": _HOLDS[c.holds], "found": c.found} for c in checks], {})


@models.command()
def families(
    only: Annotated[str, typer.Option(help="Some of the model types, or all.")] = "all",
    as_json: PrintJson = False,
) -> None:
    """Build a tiny random model of every registered family, verify it, and print what can be done
    with it.

    A quick look: --only llama,gemma3,mamba. All take some minutes.
    """
    from workbench.bench.families import OUTCOMES, inspect_families

    with bars(Console(stderr=True)):
        found = inspect_families(() if only == "all" else listed("--only", only))
    if as_json:
        sys.stdout.write(json.dumps([asdict(each) for each in found], indent=1) + "\n")
        return
    rows = [
        {
            "family": each.family,
            "outcome": each.outcome,
            "lacks": ", ".join(each.lacks),
            "why": each.why,
        }
        for each in found
    ]
    show(rows, {outcome: sum(f.outcome == outcome for f in found) for outcome in OUTCOMES})
