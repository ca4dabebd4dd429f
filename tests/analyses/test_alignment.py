from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pandas as pd
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "alignment.py"


@pytest.fixture
def small(
    loop_inputs: Any, answered_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    (tmp_path / "settings.yaml").write_text(
        "questions: {options: 2}\nelicit: {answer_tokens: 4}\nbootstrap_resamples: 100\n"
    )
    given = {
        "MODEL": loop_inputs.model,
        "QUESTIONS": answered_file,
        "LIMIT": 8,
        "CONFIG": tmp_path / "settings.yaml",
        "RUN": "tiny",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"WORKBENCH_{name}", str(value))
    return tmp_path


def test_as_a_script_it_writes_the_page_and_its_tables(small: Path) -> None:
    def run() -> str:
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], cwd=small, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    page = small / "figures" / "tiny"
    assert first.splitlines()[-1] == f"figures: {page / 'index.html'}"
    assert "guess" in first.splitlines()[1]
    assert {"ablation", "discrimination", "letters", "cells_expected"} <= {
        path.stem for path in page.glob("*.html")
    }
    assert len(pd.read_csv(page / "alignment.csv")) == 18
    tidy = pd.read_csv(page / "confidence.csv")
    assert tidy.groupby("format").size().tolist() == [8] * 9
    finished = {
        path: path.stat().st_mtime_ns for path in (small / "runs" / "tiny").rglob("done.json")
    }
    assert len(finished) == 10
    assert run() == first
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_as_a_notebook_every_cell_runs_in_bfloat16_and_shows_its_figures(small: Path) -> None:
    settings = small / "settings.yaml"
    settings.write_text(settings.read_text() + "model: {precision: bfloat16}\n")
    notebook = jupytext.read(SCRIPT)
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(small)}}
    ).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    drawn = [
        output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(drawn) >= 4
    assert (
        "matrix products in bfloat16"
        in (small / "figures" / "tiny" / "discrimination.html").read_text()
    )
