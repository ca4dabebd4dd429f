from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_ends_in_the_league_and_as_a_notebook_it_goes_on_to_show_it(
    asked: Callable[..., Analysis], taught_soon: dict[str, Any]
) -> None:
    """Two recipes that ask in two ways, with a domain held out; a third has none of the arms."""
    taught_soon["questions"]["train_fraction"] = 0.97
    domain = str(pd.read_json(taught_soon["questions"]["source"], lines=True)["domain"].iloc[0])
    taught_soon["questions"]["held_out_domains"] = [domain]
    analysis = asked(
        "recipes",
        taught_soon,
        recipes="probe,doubt,calibration",
        arms="log,head",
        seeds=2,
    )
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny" / "league"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    assert any(
        line.startswith("largest expected AUROC2 within domain, in domain: ") for line in lines
    )
    table = pd.read_parquet(page / "league.parquet")
    assert set(table["recipe"]) == {"doubt", "calibration"}
    assert set(table["part"]) == {"in domain", "out of domain"}
    taught = table[(table["recipe"] == "doubt") & (table["arm"] == "log")]
    assert set(taught["seeds"]) == {2}
    assert "gain ECE expected" in set(table["measure"])
    kept = json.loads((page / "league.json").read_text())
    assert kept["configuration"]["calibration"]["arms"] == ["head"]
    assert kept["configuration"]["calibration"]["run"]["elicit"]["format"] == "i-ii"
    assert kept["configuration"]["doubt"]["run"]["questions"]["held_out_domains"] == [domain]
    assert (analysis.place / "figures" / "tiny" / "doubt" / "index.html").exists()
    answered = json.loads((analysis.place / "runs/tiny/answer/done.json").read_text())
    assert answered["precision"] == "bfloat16"
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == len(list(page.glob("*.html"))) - 1
    assert analysis.finished() == finished
