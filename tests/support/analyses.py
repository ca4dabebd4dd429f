"""Scripts of ``analyses/``, run as scripts and as notebooks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "analyses"
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
        command = [sys.executable, str(FOLDER / f"{self.name}.py"), *self.words, *more]
        return subprocess.run(command, cwd=self.place, capture_output=True, text=True, check=False)

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


def words_of(**given: object) -> tuple[str, ...]:
    """``--set name=value`` of every one given."""
    return tuple(word for name, value in given.items() for word in ("--set", f"{name}={value}"))
