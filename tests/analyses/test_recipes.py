from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

SCRIPT = Path(__file__).parents[2] / "analyses" / "recipes.py"


def test_as_a_script_it_ends_in_the_league_of_what_was_taught(
    loop_inputs: Any, tmp_path: Path, ask_for: Callable[..., None]
) -> None:
    """Two recipes that ask in two ways, with a domain held out, twice: the second time nothing is taught anew."""
    whole = loop_inputs.config.model_dump(mode="json")
    whole["questions"]["train_fraction"] = 0.97
    whole["teach"] = {"epochs": 1, "lora": {"rank": 4}}
    domain = pd.read_json(whole["questions"]["source"], lines=True)["domain"].iloc[0]
    del whole["elicit"]["format"], whole["questions"]["held_out_domains"]
    ask_for(whole, RECIPES="doubt,calibration", SEEDS=2, HOLD_OUT=domain)
    for _ in range(2):
        done = subprocess.run([sys.executable, str(SCRIPT)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "teaching" not in done.stderr
    page = tmp_path / "figures" / "tiny" / "league"
    assert done.stdout.splitlines()[-1] == f"figures: {page / 'index.html'}"
    table = pd.read_parquet(page / "league.parquet")
    assert set(table["recipe"]) == {"doubt", "calibration"}
    assert set(table["part"]) == {"in domain", "out of domain"}
    taught = table[(table["recipe"] == "doubt") & (table["arm"] == "log")]
    assert set(taught["seeds"]) == {2}
    kept = json.loads((page / "league.json").read_text())
    assert kept["configuration"]["calibration"]["run"]["elicit"]["format"] == "i-ii"
    assert kept["configuration"]["doubt"]["run"]["questions"]["held_out_domains"] == [domain]
    assert (tmp_path / "figures" / "tiny" / "doubt" / "index.html").exists()
