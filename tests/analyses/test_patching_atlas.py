from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "patching_atlas.py"
FIGURES = (
    *(f"positions_{key}" for key in ("before", "after", "taught")),
    *(
        f"{kind}_{key}"
        for kind in ("heads", "components")
        for key in ("before", "after", "taught", "gathering")
    ),
    "attribution",
    "claim",
    "claim_conditions",
)


@pytest.fixture
def small(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("ITEMS", 6), ("CLAIM_ITEMS", 8), ("LAYERS", 3)):
        monkeypatch.setenv(f"WORKBENCH_ATLAS_{name}", str(value))
    return place


def test_as_a_script_it_draws_every_map_and_takes_up_what_it_finished(small: Path) -> None:
    def run() -> str:
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], cwd=small, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run()
    lines = dict(line.split(maxsplit=1) for line in first.splitlines())
    assert lines["claim"] in ("reproduced", "contradicted", "undecided")
    assert float(lines["gathered.low"]) <= float(lines["gathered.high"])
    page = small / "figures" / "tiny" / "atlas"
    assert Path(lines["figures:"]) == page / "index.html"
    assert {path.stem for path in page.glob("*.html")} == {"index", *FIGURES}
    parts = {
        path: path.stat().st_mtime_ns
        for path in (small / "runs" / "tiny" / "atlas" / "parts").iterdir()
    }
    assert parts
    assert run() == first
    assert {path: path.stat().st_mtime_ns for path in parts} == parts


def test_as_a_notebook_every_cell_runs_in_another_precision_and_shows_its_figures(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ATLAS_PRECISION", "bfloat16")
    notebook = jupytext.read(SCRIPT)
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(small)}}
    ).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    shown = [
        output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(shown) == len(FIGURES)
    printed = "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "claim" in printed
    assert "Spearman" in printed
    page = small / "figures" / "tiny" / "atlas"
    assert all(
        "matrix products in bfloat16" in (page / f"{name}.html").read_text() for name in FIGURES[:3]
    )
