"""Provide the command line: each command is one call into the library."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from workbench.cli.baselines import baselines
from workbench.cli.bench import measure as bench_measure
from workbench.cli.bench import run as bench_run
from workbench.cli.bench import sweep as bench_sweep
from workbench.cli.bench import teach as bench_teach
from workbench.cli.bench_live import live as bench_live
from workbench.cli.bench_mechanisms import mechanisms as bench_mechanisms
from workbench.cli.bench_plan import device as bench_device
from workbench.cli.bench_plan import plan as bench_plan
from workbench.cli.bench_probes import probes as bench_probes
from workbench.cli.bench_probes import states as bench_states
from workbench.cli.bench_quantised import quantised as bench_quantised
from workbench.cli.bench_statistics import bottleneck as bench_bottleneck
from workbench.cli.bench_statistics import coverage as bench_coverage
from workbench.cli.bench_statistics import verdicts as bench_verdicts
from workbench.cli.bench_stream import stream as bench_stream
from workbench.cli.bottleneck import bottleneck
from workbench.cli.elicit import elicit, formats
from workbench.cli.endings import ending
from workbench.cli.experiment import experiment
from workbench.cli.grid import grid
from workbench.cli.measure import measure
from workbench.cli.models import models
from workbench.cli.notebook import notebook
from workbench.cli.options import FiguresFolder, KeepCodeVersion, Replace
from workbench.cli.patch import patch
from workbench.cli.plan import plan
from workbench.cli.settings import settings
from workbench.cli.show import show
from workbench.cli.states import probe, trace
from workbench.cli.teach import recipes, teach
from workbench.cli.terminal import bars, show_summary
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.config import load_config
from workbench.files.names import folder_named
from workbench.files.processes import only_first_prints, own_folder, require_one_process
from workbench.notices import no_notices
from workbench.pipeline.libraries import library_versions
from workbench.settings.file import read_assignments


class Commands(TyperGroup):
    """The group of all commands. The errors of any command end as :mod:`workbench.cli.endings`
    says.
    """

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Read the command line, run its command and exit."""
        if not standalone_mode:
            return super().main(
                args, prog_name, complete_var, standalone_mode, windows_expand_args, **extra
            )
        words = list(sys.argv[1:] if args is None else args)

        def work() -> None:
            # What an output's encoding lacks is escaped, not an error in the middle of a table.
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, TextIOWrapper):
                    stream.reconfigure(errors="backslashreplace")
            with (
                only_first_prints(),
                no_notices(),
                self.make_context(PROGRAM, list(words), **extra) as context,
            ):
                # Without words and for options before a command, making the context has ended.
                if words[0] not in LAUNCHABLE and "--help" not in words:
                    require_one_process(
                        f"{PROGRAM} {words[0]}",
                        "start it without torchrun or accelerate launch; of several processes are "
                        f"{', '.join(LAUNCHABLE)}",
                    )
                self.invoke(context)

        return ending(work, [PROGRAM, *words])


app = typer.Typer(
    cls=Commands,
    help=(
        "Does a language model know when it is wrong, where, does that cause what it says, and can "
        "it be taught to say it?"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(
    help="Measurements of the workbench itself: its cost, and its verdicts' errors.",
    no_args_is_help=True,
)
app.add_typer(bench, name="bench")
app.add_typer(models, name="models")
app.add_typer(grid, name="grid")
console = Console(stderr=True)
PROGRAM = "workbench"
LAUNCHABLE = ("run", "elicit", "trace", "patch", "teach")
"""Commands that torchrun and accelerate launch may start in several processes."""


def _show_versions(wanted: bool) -> None:
    if wanted:
        own = importlib.metadata.version("confidence-workbench")
        typer.echo(f"{PROGRAM} {own}, Python {platform.python_version()}")
        for name, installed in library_versions().items():
            typer.echo(f"{name} {installed}")
        raise typer.Exit


@app.callback()
def show_versions(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_versions,
            is_eager=True,
            help="Show the versions of this package and of the libraries that make its numbers.",
        ),
    ] = False,
) -> None:
    """Options that come before any command."""


@app.command()
def run(
    name: Annotated[
        str, typer.Option(help="Name of the run; its folder and its figures' folder.")
    ] = "default",
    model: Annotated[
        str | None,
        typer.Option(help="An embedded model, a Hugging Face id, a folder, or a GGUF file."),
    ] = None,
    questions: Annotated[
        str | None,
        typer.Option(help="'builtin', a hub set (triviaqa, mmlu:validation), or a file."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Questions to draw, evenly over domains; 0 for all.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            help="Trainings with the seeds from --seed on, on the same answers; one by default."
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, as teach.learning_rate=5e-5.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """The whole loop: ask, read confidence, probe, teach, look again, patch, draw. Resumes where
    it was stopped.
    """
    overrides = read_assignments(set_ or [])
    given = {
        "model.name": model,
        "questions.source": questions,
        "questions.limit": limit,
        "seed": seed,
        "trainings": seeds,
    }
    overrides.update({key: value for key, value in given.items() if value is not None})
    if overrides.get("questions.limit") == 0:
        overrides["questions.limit"] = None
    chosen = load_config(config, overrides)
    folder = own_folder(folder_named(runs, name))
    page = own_folder(folder_named(figures, name))
    from workbench.loop import run_loop
    from workbench.pipeline.stages import Reuse

    with bars(console):
        summary = run_loop(chosen, folder, page, Reuse(replace, keep_code_version))
    show_summary(console, summary)
    console.print(Text(safe_text(f"\nFigures: {page / 'index.html'}\nTables: {folder}")))


@app.command()
def questions(
    source: Annotated[
        str, typer.Argument(help="'builtin', a hub set (triviaqa, mmlu:validation), or a file.")
    ] = "builtin",
    mirror: Annotated[
        Path | None, typer.Option(help="Folder with hub repositories under their ids.")
    ] = None,
) -> None:
    """Check a set of questions and count them by domain."""
    from workbench.questions import questions_from

    with bars(console):
        found = questions_from(source, mirror)
    counts: dict[str, int] = {}
    for question in found:
        counts[question.domain] = counts.get(question.domain, 0) + 1
    for domain, count in sorted(counts.items()):
        sys.stdout.write(f"{safe_line(domain)}\t{count}\n")


app.command("elicit")(elicit)
app.command("formats")(formats)
app.command("measure")(measure)
app.command("trace")(trace)
app.command("probe")(probe)
app.command("patch")(patch)
app.command("teach")(teach)
app.command("recipes")(recipes)
app.command("baselines")(baselines)
app.command("bottleneck")(bottleneck)
app.command("experiment")(experiment)
app.command("notebook")(notebook)
app.command("settings")(settings)
app.command("show")(show)
app.command("plan")(plan)


bench.command("sweep")(bench_sweep)
bench.command("teach")(bench_teach)
bench.command("measure")(bench_measure)
bench.command("run")(bench_run)
bench.command("verdicts")(bench_verdicts)
bench.command("bottleneck")(bench_bottleneck)
bench.command("mechanisms")(bench_mechanisms)
bench.command("coverage")(bench_coverage)
bench.command("quantised")(bench_quantised)
bench.command("stream")(bench_stream)
bench.command("probes")(bench_probes)
bench.command("states")(bench_states)
bench.command("live")(bench_live)
bench.command("plan")(bench_plan)
bench.command("device")(bench_device)
