from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jupytext
import pandas as pd
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "steering.py"


@pytest.fixture
def small(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("ITEMS", "12"), ("LAYERS", "2"), ("LENGTHS", "0.5,1"), ("RANDOM", "1")):
        monkeypatch.setenv(f"WORKBENCH_STEERING_{name}", value)
    return place


def test_as_a_script_it_gives_a_verdict_and_a_line_a_push(small: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], cwd=small, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["expected.null"].split(":")[0] in ("stands", "rejected", "undecided")
    assert int(lines["questions"]) == 12
    page = small / "figures" / "tiny" / "steering"
    assert Path(lines["figures:"]) == page / "index.html"
    table = pd.read_csv(page / "steering.csv")
    assert len(table) == 1 + 2 + 2 * 2 * 4
    assert (page / "steering.html").is_file()


def test_as_a_notebook_it_shows_its_figure(small: Path) -> None:
    notebook = jupytext.read(SCRIPT)
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(small)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs) == 1
