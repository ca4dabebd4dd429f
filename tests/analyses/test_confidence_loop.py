from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "confidence_loop.py"


def test_as_a_script_it_writes_the_page_and_prints_the_results(
    place: Path, finished_run: Any
) -> None:
    index = place / "figures" / "tiny" / "index.html"
    index.unlink()
    answered = (place / "runs" / "tiny" / "answer" / "done.json").read_bytes()
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    summary = finished_run.summary
    low, value, high = (summary[f"auroc2.probe.before{end}"] for end in (".low", "", ".high"))
    assert lines["auroc2.probe.before"] == f"{value:.3f}  {low:.3f} to {high:.3f}"
    assert lines["patching.donor_slope.half_layer"] == str(
        summary["patching.donor_slope.half_layer"]
    )
    assert Path(lines["figures:"]) == index
    assert index.exists()
    assert (place / "runs" / "tiny" / "answer" / "done.json").read_bytes() == answered


def test_as_a_notebook_every_cell_runs_and_shows_its_figures(place: Path) -> None:
    finished = {path: path.read_bytes() for path in place.rglob("done.json")}
    notebook = jupytext.read(SCRIPT)
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    ).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    shown = [
        output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(shown) == 7
    assert all("application/vnd.plotly.v1+json" in output.data for output in shown)
    printed = "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "auroc2.stated.after" in printed
    assert {path: path.read_bytes() for path in finished} == finished
