"""Define ``workbench baselines``: every confidence that needs no training, on the same answers,
against its cost.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.cli.lists import listed
from workbench.cli.options import FiguresFolder, KeepCodeVersion, Replace
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.config import RunConfig, resolve, user_settings
from workbench.files.names import folder_named
from workbench.settings.fields import LARGEST_SEED

if TYPE_CHECKING:
    from workbench.experiments.baselines.results import BaselineRun

_LIMIT = 140


def baselines(
    name: Annotated[
        str, typer.Option(help="Name of its folder in runs and figures.")
    ] = "baselines",
    model: Annotated[
        str | None, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(
            help="'builtin', a hub set such as triviaqa, or a file; default: the built-in set."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, max=10**8, help=f"Questions to draw, evenly over domains; default: {_LIMIT}."
        ),
    ] = None,
    baselines: Annotated[
        str | None, typer.Option(help="Some baselines, as p_true,agreement; default: all.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=2, max=10_000, help="Sampled answers of each question.")
    ] = 10,
    temperature: Annotated[
        float, typer.Option(min=0.01, max=100, help="Temperature of the samples.")
    ] = 1.0,
    top_p: Annotated[
        float, typer.Option(min=1e-6, max=1, help="Share of the distribution that is sampled from.")
    ] = 1.0,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="Seed of everything random.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per baseline.")
    ] = False,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Likelihoods, P(True), sampling, semantic entropy and lists of guesses: AUROC2 and cost of
    each. Resumes where it was stopped.
    """
    from workbench.elicit.baselines import known_baselines
    from workbench.experiments.baselines.page import page_of
    from workbench.experiments.baselines.results import BaselineResults
    from workbench.experiments.baselines.run import compare_baselines, settings_of
    from workbench.files.ownership import FIGURES, require_claimable
    from workbench.pipeline.stages import Reuse
    from workbench.report import write_page

    given = {
        "model.name": model,
        "questions.source": questions,
        "questions.limit": limit,
        "seed": seed,
    }
    written = {key: value for key, value in given.items() if value is not None}
    settings = resolve(
        RunConfig(), {"questions.limit": _LIMIT}, {}, user_settings(config, written)
    ).config
    chosen = settings_of(settings, samples=samples, temperature=temperature, top_p=top_p)
    names = None if baselines is None else listed("--baselines", baselines)
    if names is not None:
        known_baselines(names)
    folder, page_folder = folder_named(runs, name), folder_named(figures, name)
    require_claimable(page_folder, FIGURES)
    screen = Console(stderr=True)
    with bars(screen):
        found = compare_baselines(
            settings, chosen, names, folder, reuse=Reuse(replace, keep_code_version)
        )
        results = BaselineResults({"baselines": found}, settings, chosen)
        page = write_page(page_of(results), page_folder)
    _show(found, as_json)
    screen.print(Text(safe_text(f"Figures: {page}")))


def _show(found: BaselineRun, as_json: bool) -> None:
    from workbench.experiments.baselines.page import shown

    if as_json:
        for one in found.found:
            line = {key: None if value != value else value for key, value in one.line().items()}
            sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")
        return
    rows = [shown(one) for one in found.found]
    out = Console()
    if not out.is_terminal:
        out = Console(width=200)
    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*(Text(safe_line(value)) for value in row.values()))
    out.print(table)
