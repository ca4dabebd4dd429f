from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pandas as pd
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "transfer.py"
ARMS = ["soft", "soft-mixed", "soft-planets", "soft-rivers"]


@pytest.fixture
def small(taught_soon: dict[str, Any], tmp_path: Path, ask_for: Callable[..., None]) -> Path:
    taught_soon["questions"]["train_fraction"] = 0.8
    ask_for(taught_soon, RECIPE="probe", ARM="soft", SEEDS=1)
    return tmp_path


def test_as_a_script_it_measures_every_arm_on_every_domain_and_goes_on_where_it_was(
    small: Path, run_twice: Callable[[Path], str]
) -> None:
    page = small / "figures" / "tiny" / "transfer"
    assert run_twice(SCRIPT) == f"figures: {page / 'index.html'}"
    table = pd.read_parquet(page / "league.parquet")
    assert set(table["part"]) == {"planets", "rivers"}
    controls = {f"{name}-control" for name in ARMS}
    assert set(table["arm"]) == {"before", "platt", *ARMS, *controls}
    kept = json.loads((page / "league.json").read_text())
    assert kept["configuration"]["domains"] == ["planets", "rivers"]
    assert len(kept["lines"]) == len(table)
    assert (page / "auroc2_expected_within.html").stat().st_size > 1000
    questions = pd.read_parquet(small / "runs/tiny/questions/questions.parquet").set_index("row")[
        "domain"
    ]
    taught = pd.read_parquet(small / "runs/tiny/recipes/probe/soft-rivers/0/teach/targets.parquet")[
        "row"
    ]
    assert set(questions.loc[taught]) == {"rivers"}


def test_the_domains_are_those_asked_for(
    taught_soon: dict[str, Any], tmp_path: Path, ask_for: Callable[..., None]
) -> None:
    ask_for(taught_soon, RECIPE="probe", ARM="soft", DOMAINS="rivers, seas")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert (
        "questions.domains: there is no domain 'seas'; the domains are planets, rivers."
        in done.stderr
    )


def test_as_a_notebook_every_cell_runs_in_bfloat16_and_shows_its_figures(small: Path) -> None:
    settings = json.loads((small / "settings.json").read_text())
    settings["model"]["precision"] = "bfloat16"
    (small / "settings.json").write_text(json.dumps(settings))
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
    assert len(shown) == len(list((small / "figures" / "tiny" / "transfer").glob("*.html"))) - 1
    assert json.loads((small / "runs/tiny/answer/done.json").read_text())["precision"] == "bfloat16"
