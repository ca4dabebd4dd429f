from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import pandas as pd
import pytest
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[2] / "analyses" / "recipes.py"


@pytest.fixture
def ask(taught_soon: dict[str, Any], ask_for: Callable[..., None]) -> Callable[..., str]:
    """Asks for recipes on the tiny model with a domain held out, whose name it returns."""

    def asked(**more: Any) -> str:
        taught_soon["questions"]["train_fraction"] = 0.97
        domain = str(pd.read_json(taught_soon["questions"]["source"], lines=True)["domain"].iloc[0])
        ask_for(taught_soon, HOLD_OUT=domain, **more)
        return domain

    return asked


def test_as_a_script_it_ends_in_the_league_of_what_was_taught(
    tmp_path: Path, ask: Callable[..., str], run_twice: Callable[[Path], str]
) -> None:
    """Two recipes that ask in two ways, with a domain held out, twice: the second time nothing
    is taught anew.
    """
    domain = ask(RECIPES="probe,doubt,calibration", ARMS="log,head,lora-prompt", SEEDS=2)
    page = tmp_path / "figures" / "tiny" / "league"
    assert run_twice(SCRIPT) == f"figures: {page / 'index.html'}"
    table = pd.read_parquet(page / "league.parquet")
    assert set(table["recipe"]) == {"doubt", "calibration"}
    assert set(table["part"]) == {"in domain", "out of domain"}
    taught = table[(table["recipe"] == "doubt") & (table["arm"] == "log")]
    assert set(taught["seeds"]) == {2}
    assert "gain ECE expected" in set(taught["measure"])
    kept = json.loads((page / "league.json").read_text())
    assert kept["configuration"]["calibration"]["arms"] == ["head", "lora-prompt"]
    assert kept["configuration"]["calibration"]["run"]["elicit"]["format"] == "i-ii"
    assert kept["configuration"]["doubt"]["run"]["questions"]["held_out_domains"] == [domain]
    for name in ("value", "low", "high"):
        assert [line[name] for line in kept["lines"]] == [
            None if x != x else x for x in table[name]
        ]
    assert (tmp_path / "figures" / "tiny" / "doubt" / "index.html").exists()


def test_as_a_notebook_every_cell_runs_in_bfloat16_and_shows_its_figures(
    tmp_path: Path, ask: Callable[..., str], taught_soon: dict[str, Any]
) -> None:
    taught_soon["model"]["precision"] = "bfloat16"
    ask(RECIPES="doubt", ARMS="log", SEEDS=1)
    notebook = jupytext.read(SCRIPT)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place).execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    shown = [
        output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(shown) == len(list((tmp_path / "figures" / "tiny" / "league").glob("*.html"))) - 1
    printed = "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "largest expected AUROC2 within domain, in domain: doubt · log" in printed
    assert (
        json.loads((tmp_path / "runs/tiny/answer/done.json").read_text())["precision"] == "bfloat16"
    )
