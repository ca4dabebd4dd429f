"""Scripts of ``analyses/``, run as scripts and as notebooks.

A script runs in a process of its own, forked from one that has imported the libraries and done
nothing else: starting each anew would take longer than most scripts do on a tiny model. Notebooks
start in fresh processes, and so show that a script imports what it uses.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "analyses"
RUNS = sorted((FOLDER.parent / "workbench" / "experiments").glob("*/run.py"))
FIGURE = "application/vnd.plotly.v1+json"


@dataclass(frozen=True)
class Notebook:
    """What a notebook's cells put out: how many figures, and the text."""

    figures: int
    text: str


@dataclass(frozen=True)
class Analysis:
    """A script, the folder it is run in, and the words it is given."""

    name: str
    place: Path
    words: tuple[str, ...]

    def script(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Run it from the command line."""
        command = [str(FOLDER / f"{self.name}.py"), *self.words, *more]
        with tempfile.TemporaryDirectory() as folder:
            said = [Path(folder) / name for name in ("stdout", "stderr")]
            process = FORKS.Process(
                target=run_script, args=(command, self.place, said, dict(os.environ))
            )
            process.start()
            process.join()
            assert process.exitcode is not None
            return subprocess.CompletedProcess(
                command, process.exitcode, *(path.read_text() for path in said)
            )

    def lines(self) -> list[str]:
        """Run it from the command line, where it must end well; returns its output."""
        done = self.script()
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def notebook(self) -> Notebook:
        """Run every cell of it, the words in the environment, as a person does who goes on."""
        notebook = jupytext.read(FOLDER / f"{self.name}.py")
        client = NotebookClient(
            notebook,
            timeout=240,
            kernel_name="python3",
            resources={"metadata": {"path": str(self.place)}},
        )
        client.execute(env={**os.environ, "WORKBENCH_ARGS": shlex.join(self.words)})
        outputs = [
            output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
        ]
        return Notebook(
            sum(FIGURE in output.get("data", {}) for output in outputs),
            "".join(
                output.text
                for output in outputs
                if output.output_type == "stream" and output.name == "stdout"
            ),
        )

    def finished(self) -> dict[Path, int]:
        """The stages that are done, with the time at which they were."""
        return {path: path.stat().st_mtime_ns for path in (self.place / "runs").rglob("done.json")}


FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "peft",
        "plotly.graph_objects",
        "sklearn.linear_model",
        "transformers",
        "workbench.cli.app",
        *(f"workbench.experiments.{path.parent.name}.run" for path in RUNS),
    ]
)


def run_script(
    command: Sequence[str], place: Path, said: Sequence[Path], environment: Mapping[str, str]
) -> None:
    """Become the script ``command``, in the folder ``place``, with its output in the two files
    ``said``.
    """
    gc.freeze()  # as in conftest.py: what was imported before the fork is no garbage
    for number, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    sys.argv = list(command)
    sys.path.insert(0, str(FOLDER))
    try:
        runpy.run_path(command[0], run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def words_of(**given: object) -> tuple[str, ...]:
    """``--set name=value`` of every one given."""
    return tuple(word for name, value in given.items() for word in ("--set", f"{name}={value}"))
