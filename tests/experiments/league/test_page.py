from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from workbench.experiments.league.comparison import (
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    RecipeOutcome,
    compare_recipes,
    league_summary,
    league_table,
)
from workbench.experiments.league.metrics import BASE_RIGHT, MEASURES
from workbench.experiments.league.page import league_page, row_of, sections
from workbench.measure import Bootstrap
from workbench.pipeline.store import code_version
from workbench.report import write_page


def test_every_measure_but_the_one_all_lines_share_has_its_figure(played: RecipeOutcome) -> None:
    rows = compare_recipes([played], Bootstrap(20, 0))
    drawn = sections(rows, "caption")
    assert [section.title for section in drawn] == [
        heading for heading in MEASURES if heading != BASE_RIGHT
    ]
    spoken = [
        section.title for section in sections([one for one in rows if one.arm == "head"], "caption")
    ]
    assert spoken == [heading for heading in MEASURES if "expected" in heading]


def test_a_line_leaves_out_what_it_does_not_have(played: RecipeOutcome) -> None:
    rows = {
        one.arm: row_of(one)
        for one in compare_recipes([played], Bootstrap(20, 0))
        if one.part == OUT_OF_DOMAIN
    }
    assert rows["head"]["ECE stated"] == ""
    assert rows["head"]["seconds"] == "5"
    assert rows["before"]["training tokens"] == ""
    assert rows["log"]["seeds"] == "2"


def test_numbers_stand_beside_the_configuration_that_made_them(
    played: RecipeOutcome, tmp_path: Path
) -> None:
    rows = compare_recipes([played], Bootstrap(20, 0))
    page = write_page(league_page(rows, {"seeds": 2}, []), tmp_path)
    kept = json.loads((tmp_path / "league.json").read_text())
    assert kept["configuration"] == {"seeds": 2}
    assert len(kept["lines"]) == len(league_table(rows))
    assert "In domain: 40 held-out questions" in page.read_text()


def test_table_summary_and_page_say_the_same(played: RecipeOutcome, tmp_path: Path) -> None:
    rows = compare_recipes([played], Bootstrap(20, 0))
    made = league_page(rows, {"seeds": 2}, sections(rows, "caption <b>"))
    page = write_page(made, tmp_path)
    assert page.exists()
    assert "<b>" not in page.read_text().split("<body>")[1].split("plotly")[0]
    stored = pd.read_parquet(tmp_path / "league.parquet")
    pd.testing.assert_frame_equal(stored, league_table(rows))
    line = stored[
        (stored["arm"] == "log")
        & (stored["part"] == IN_DOMAIN)
        & (stored["measure"] == "ECE expected")
    ]
    summary = league_summary(rows)
    assert line["value"].item() == summary["in_domain.ece_expected.doubt.log"]
    kept = json.loads((tmp_path / "league.json").read_text())
    assert (kept["code"], kept["configuration"], len(kept["lines"])) == (
        code_version(),
        {"seeds": 2},
        len(stored),
    )
    rows = made.lead[0][1]
    assert made.lead[0][0].startswith("In domain")
    assert [row["arm"] for row in rows] == [
        "before",
        "platt",
        "log",
        "log-temperature",
        "log-control",
        "head",
    ]
    assert rows[2]["training tokens"] == "200"
