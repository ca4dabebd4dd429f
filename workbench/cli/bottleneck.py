"""Define ``workbench bottleneck``: where runs and models lose what they know, and several side by
side.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from workbench.cli.options import FiguresFolder, KeepCodeVersion, Replace
from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line, safe_text
from workbench.errors import WorkbenchError
from workbench.files.names import folder_named
from workbench.settings.file import read_assignments

_COMPARISON = "bottleneck"


def bottleneck(
    subjects: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_OR_MODEL...",
            help="Finished runs by name or folder, or models as for 'workbench run'; several are "
            "compared in this order.",
        ),
    ],
    questions: Annotated[
        str | None,
        typer.Option(
            help="For models: 'builtin', a hub set (triviaqa, mmlu:validation), or a file."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model's run, default: the model's own; of several, of the comparison."
        ),
    ] = None,
    no_teaching: Annotated[
        bool,
        typer.Option(
            "--no-teaching", help="Follow the model as it is; nothing is taught, and less asked."
        ),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="For models: YAML or JSON file with settings.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A parameter, as curriculum=true, or a setting of a model's run."
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    figures: FiguresFolder = Path("figures"),
    replace: Replace = False,
    keep_code_version: KeepCodeVersion = False,
) -> None:
    """Where between hidden state and text a model loses what it knows: step by step, with a
    verdict. A model's run is made first. Resumes where it was stopped.
    """
    from workbench.experiments.catalogue import Request, experiment_named, perform
    from workbench.experiments.parameters import split_assignments
    from workbench.experiments.text_bottleneck.comparison import compare
    from workbench.experiments.text_bottleneck.record import Followed
    from workbench.experiments.text_bottleneck.run import BottleneckParameters
    from workbench.experiments.text_bottleneck.subjects import find_subjects
    from workbench.files.ownership import FIGURES, require_claimable
    from workbench.pipeline.stages import Reuse
    from workbench.report import describe, write_page

    experiment = experiment_named("text_bottleneck")
    own, settings = split_assignments(BottleneckParameters, read_assignments(set_ or []))
    if no_teaching:
        own["teaching"] = False
    parameters = BottleneckParameters().replace(own)
    if questions is not None:
        settings["questions.source"] = questions
    several = len(subjects) > 1
    found = find_subjects(
        subjects,
        runs,
        teaching=parameters.teaching,
        name=None if several else name,
    )
    _check_options(any(each.model for each in found), several, name, config, bool(settings))
    page_folder = folder_named(figures, name or _COMPARISON)
    if several:
        require_claimable(page_folder, FIGURES)
    screen, followed = Console(stderr=True), []
    with bars(screen):
        for each in found:
            made = {} if each.model is None else {**settings, "model.name": each.model}
            request = Request(
                each.name,
                None if each.model is None else config,
                made,
                Reuse(replace, keep_code_version),
            )
            finished = perform(
                experiment, request, runs=each.runs, figures=figures, parameters=parameters
            )
            followed.append(Followed(each.name, finished.results))
            screen.print(Text(safe_text(f"Figures: {finished.index}")))
            gc.collect()  # before the next model is loaded
        page = finished.page
        if several:
            page = compare(followed)
            screen.print(Text(safe_text(f"Figures: {write_page(page, page_folder)}")))
    for line in describe(page):
        sys.stdout.write(safe_line(line) + "\n")


def _check_options(
    makes: bool, several: bool, name: str | None, config: Path | None, settings: bool
) -> None:
    """Refuse options that nothing would use.

    Raises:
        WorkbenchError: naming them.
    """
    if not makes and (config is not None or settings):
        raise WorkbenchError(
            "Settings and --questions are of runs to be made, and these are finished ones, which "
            "are taken as they are; leave them out, or name a model."
        )
    if not makes and not several and name is not None:
        raise WorkbenchError(
            "--name names the run of a model or a comparison, and this run has a name; leave it "
            "out."
        )
