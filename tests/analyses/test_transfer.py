from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.support.analyses import Analysis

ARMS = ["soft", "soft-mixed", "soft-planets", "soft-rivers"]


def test_as_a_script_it_measures_every_arm_on_every_domain_and_as_a_notebook_it_shows_them(
    asked: Callable[..., Analysis], taught_soon: dict[str, Any]
) -> None:
    taught_soon["questions"]["train_fraction"] = 0.8
    analysis = asked("transfer", taught_soon, recipe="probe", arm="soft", seeds=1)
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny" / "transfer"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    table = pd.read_parquet(page / "league.parquet")
    assert set(table["part"]) == {"planets", "rivers"}
    controls = {f"{name}-control" for name in ARMS}
    assert set(table["arm"]) == {"before", "platt", *ARMS, *controls}
    kept = json.loads((page / "league.json").read_text())
    assert kept["configuration"]["domains"] == ["planets", "rivers"]
    assert len(kept["lines"]) == len(table)
    run = analysis.place / "runs" / "tiny"
    domains = pd.read_parquet(run / "questions/questions.parquet").set_index("row")["domain"]
    taught = pd.read_parquet(run / "recipes/probe/soft-rivers/0/teach/targets.parquet")["row"]
    assert set(domains.loc[taught]) == {"rivers"}
    assert json.loads((run / "answer/done.json").read_text())["precision"] == "bfloat16"
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == len(list(page.glob("*.html"))) - 1
    assert analysis.finished() == finished


def test_the_domains_are_those_asked_for(
    asked: Callable[..., Analysis], taught_soon: dict[str, Any]
) -> None:
    analysis = asked("transfer", taught_soon, **{"questions.domains": "[rivers, seas]"})
    done = analysis.script()
    assert done.returncode != 0
    assert (
        "questions.domains: there is no domain 'seas'; the domains are planets, rivers."
        in done.stderr
    )
