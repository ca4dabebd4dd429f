"""The command line: each command is one call into the library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from workbench.commands.baselines import baselines
from workbench.commands.bench import measure as bench_measure
from workbench.commands.bench import sweep as bench_sweep
from workbench.commands.bench import teach as bench_teach
from workbench.commands.elicit import elicit, formats
from workbench.commands.measure import measure
from workbench.commands.teach import recipes, teach
from workbench.config import RunConfig, dump_config, load_config
from workbench.errors import WorkbenchError
from workbench.names import folder_named
from workbench.settings_file import read_assignments
from workbench.terminal import bars, show_summary

app = typer.Typer(
    help="Does a language model know when it is wrong, where, does that cause what it says, and can it be taught to say it?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measurements of the workbench's own cost.", no_args_is_help=True)
app.add_typer(bench, name="bench")
console = Console(stderr=True)


@contextmanager
def _mendable_errors() -> Iterator[None]:
    try:
        yield
    except WorkbenchError as error:
        console.print(f"[bold red]Error:[/] {_plain(str(error))}", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        console.print("Interrupted; what was finished is kept. Give the same command again to go on.")
        raise typer.Exit(130) from None


def _mendable(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        with _mendable_errors():
            command(*args, **kwargs)

    return wrapped


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


@app.command()
def run(
    name: Annotated[str, typer.Option(help="Name of the run; its folder and its figures' folder.")] = "default",
    model: Annotated[str | None, typer.Option(help="'default', a Hugging Face id, a folder, or a GGUF file.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="'builtin', a hub set (triviaqa, mmlu:validation), or a file.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Questions to draw, evenly over domains; 0 for all.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="One setting, as teach.learning_rate=5e-5.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: Annotated[Path, typer.Option(help="Folder of all figures.")] = Path("figures"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Do results of other settings under this name again.")
    ] = False,
    keep_code_version: Annotated[
        bool, typer.Option("--keep-code-version", help="Go on from results of other code or library versions.")
    ] = False,
) -> None:
    """The whole loop: ask, read confidence, probe, teach, look again, patch, draw. Resumes where it was stopped."""
    with _mendable_errors():
        overrides = read_assignments(set_ or [])
        given = {"model.name": model, "questions.source": questions, "questions.limit": limit, "seed": seed}
        overrides.update({key: value for key, value in given.items() if value is not None})
        if overrides.get("questions.limit") == 0:
            overrides["questions.limit"] = None
        settings = load_config(config, overrides)
        folder, page = folder_named(runs, name), folder_named(figures, name)
        from workbench.pipeline.stages import Reuse
        from workbench.run import run as run_loop

        with bars(console):
            summary = run_loop(settings, folder, page, Reuse(replace, keep_code_version))
        show_summary(console, summary)
        console.print(_plain(f"\nFigures: {page / 'index.html'}\nTables: {folder}"), highlight=False)


@app.command()
def settings() -> None:
    """Print the default settings as JSON; save, edit and pass them with --config."""
    sys.stdout.write(dump_config(RunConfig()) + "\n")


@app.command()
def questions(
    source: Annotated[
        str, typer.Argument(help="'builtin', a hub set (triviaqa, mmlu:validation), or a file.")
    ] = "builtin",
    mirror: Annotated[Path | None, typer.Option(help="Folder with hub repositories under their ids.")] = None,
) -> None:
    """Check a set of questions and count them by domain."""
    with _mendable_errors():
        from workbench.questions import questions_from

        with bars(console):
            found = questions_from(source, mirror)
        counts: dict[str, int] = {}
        for question in found:
            counts[question.domain] = counts.get(question.domain, 0) + 1
        for domain, count in sorted(counts.items()):
            sys.stdout.write(f"{domain}\t{count}\n")


app.command("elicit")(_mendable(elicit))
app.command("formats")(_mendable(formats))
app.command("measure")(_mendable(measure))
app.command("teach")(_mendable(teach))
app.command("recipes")(_mendable(recipes))
app.command("baselines")(_mendable(baselines))


bench.command("sweep")(_mendable(bench_sweep))
bench.command("teach")(_mendable(bench_teach))
bench.command("measure")(_mendable(bench_measure))
