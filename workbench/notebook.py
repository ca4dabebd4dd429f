"""Provide what a script of ``analyses/`` needs that is read as a notebook: its parameters from
outside, one call that runs its experiment, figures below the cells, results at the end.

A script's parameters are in a cell and can be replaced without editing it, by the same words in two
places::

    python analyses/steering.py --name mine --set lengths=0.5,1 --set model.name=org/model
    WORKBENCH_ARGS="--name mine --set lengths=0.5,1" jupyter lab analyses/steering.py

| word | meaning |
|---|---|
| ``--set name=value`` | a parameter of the cell or a dotted setting of the run; may be repeated |
| ``--config FILE`` | a YAML or JSON file with settings |
| ``--name NAME`` | the name of the run, which its folders in ``runs`` and ``figures`` have |
| ``--replace`` | results of other settings under this name are done again, not refused |
| ``--keep-code-version`` | results of other code are gone on from, not done again |

A word of the command line goes before the same word of ``WORKBENCH_ARGS``, and both before the
cell. ``workbench experiment NAME`` takes the same words. A notebook has no command line.
"""

from __future__ import annotations

import argparse
import builtins
import os
import shlex
import sys
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path

import plotly.graph_objects as go
from rich.console import Console

from workbench.cli.terminal import bars
from workbench.cli.terminal_text import safe_line
from workbench.errors import WorkbenchError
from workbench.experiments.catalogue import Finished, Request, experiment_named, perform
from workbench.experiments.parameters import Parameters
from workbench.pipeline.stages import Reuse
from workbench.report import Page, describe
from workbench.settings.file import read_assignments

NOTEBOOK = hasattr(builtins, "get_ipython")
VARIABLE = "WORKBENCH_ARGS"


def run_experiment(name: str, parameters: Parameters | None = None) -> Finished:
    """Run an experiment with a cell's parameters, as changed by the command line or the
    environment, and write its page; resume what was begun.

    Args:
        name: a row of :data:`workbench.experiments.catalogue.EXPERIMENTS`.
        parameters: None for an experiment without any.
    """
    words = [] if NOTEBOOK else sys.argv[1:]
    request = read_request(os.environ.get(VARIABLE, ""), words)
    with bars(_console()):
        return perform(
            experiment_named(name),
            request,
            runs=_root() / "runs",
            figures=_root() / "figures",
            parameters=parameters,
        )


def show(figure: go.Figure | None) -> None:
    """Draw ``figure`` below the cell of a notebook; in a script do nothing, for the page has it."""
    if NOTEBOOK and figure is not None:
        figure.show()


def show_sections(page: Page) -> None:
    """Draw every figure of ``page`` below the cell of a notebook, each with its heading and how to
    read it; in a script do nothing.
    """
    if not NOTEBOOK:
        return
    from IPython.display import HTML, display

    for section in page.sections:
        heading, text = escape(section.title), escape(section.explanation)
        display(HTML(f"<h3>{heading}</h3><p>{text}</p>"))
        section.figure.show()


def tell(finished: Finished) -> None:
    """Write the numbers of a finished experiment to the output, and the path of its page."""
    for line in [*describe(finished.page), f"figures: {finished.index}"]:
        sys.stdout.write(safe_line(line) + "\n")


def read_request(variable: str, words: Sequence[str]) -> Request:
    """Read what the environment's ``variable`` and the command line's ``words`` ask for.

    Raises:
        WorkbenchError: for words that are none of the above, naming where they are.
    """
    try:
        split = shlex.split(variable)
    except ValueError as error:
        raise WorkbenchError(f"{VARIABLE} holds a quote that is not closed; close it.") from error
    there, here = _read(VARIABLE, split), _read("The command line", words)
    return Request(
        here.name if here.name is not None else there.name,
        here.config or there.config,
        {**there.assignments, **here.assignments},
        Reuse(
            here.reuse.replace or there.reuse.replace,
            here.reuse.keep_code_version or there.reuse.keep_code_version,
        ),
    )


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are the workbench's errors."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse's never returns
        """Raise the message as a sentence.

        Raises:
            WorkbenchError: always.
        """
        raise WorkbenchError(
            f"{self.prog}: {message}; give --set name=value, --config, --name, --replace or "
            "--keep-code-version."
        )


def _read(place: str, words: Sequence[str]) -> Request:
    parser = _Parser(prog=place, add_help=False, allow_abbrev=False)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--keep-code-version", action="store_true")
    given = parser.parse_args(list(words))
    return Request(
        given.name,
        given.config,
        read_assignments(given.set),
        Reuse(given.replace, given.keep_code_version),
    )


def _console() -> Console:
    """Return the console of a script's progress bars. Moving bars in a notebook need ipywidgets;
    without it lines show the progress.
    """
    return Console(stderr=True, force_jupyter=NOTEBOOK and find_spec("ipywidgets") is not None)


def _root() -> Path:
    """Return the folder of ``runs`` and ``figures``: the project's, also where a notebook works in
    ``analyses``.
    """
    return Path.cwd().parent if Path.cwd().name == "analyses" else Path.cwd()
