from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jupytext
import pandas as pd
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "steering.py"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ITEMS", "12"), ("LAYERS", "2"), ("LENGTHS", "0.5,1"), ("RANDOM", "1")):
        monkeypatch.setenv(f"WORKBENCH_STEERING_{name}", value)


def test_as_a_script_it_gives_a_verdict_and_a_line_a_push(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["expected.null"].split(":")[0] in ("stands", "rejected", "undecided")
    assert int(lines["questions"]) == 12
    page = place / "figures" / "tiny" / "steering"
    assert Path(lines["figures:"]) == page / "index.html"
    table = pd.read_csv(page / "steering.csv")
    assert len(table) == 1 + 2 + 2 * 2 * 4
    assert (page / "steering.html").is_file()


def test_as_a_notebook_it_shows_its_figure_of_a_run_in_bfloat16(lower_place: Path) -> None:
    notebook = jupytext.read(SCRIPT)
    NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(lower_place)}},
    ).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert (
        sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs) == 1
    )
    assert (
        "bfloat16" in (lower_place / "figures" / "tiny" / "steering" / "steering.html").read_text()
    )
