from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pytest
from nbclient import NotebookClient

from workbench.config import dump_config

SCRIPT = Path(__file__).parents[2] / "analyses" / "confidence_loop.py"


@pytest.fixture
def place(finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a finished run on the tiny model and the settings that read it back."""
    shutil.copytree(finished_run.folder, tmp_path / "runs" / "tiny")
    shutil.copytree(finished_run.figures, tmp_path / "figures" / "tiny")
    settings = tmp_path / "settings.json"
    settings.write_text(dump_config(finished_run.inputs.config))
    monkeypatch.setenv("WORKBENCH_CONFIG", str(settings))
    monkeypatch.setenv("WORKBENCH_RUN", "tiny")
    for name in ("WORKBENCH_MODEL", "WORKBENCH_QUESTIONS", "WORKBENCH_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_as_a_script_it_writes_the_page_and_prints_the_results(place: Path) -> None:
    index = place / "figures" / "tiny" / "index.html"
    index.unlink()
    done = subprocess.run([sys.executable, str(SCRIPT)], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "auroc2.text.before" in done.stdout
    assert "patching.rho" in done.stdout
    assert index.exists()


def test_as_a_notebook_every_cell_runs_and_shows_its_figures(place: Path) -> None:
    notebook = jupytext.read(SCRIPT)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(place)}}).execute()
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "display_data"
    ]
    assert len(shown) == 7
