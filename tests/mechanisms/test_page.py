from __future__ import annotations

from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from tests.support.mechanisms import written_record
from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.page import mechanism_page
from workbench.report import describe, write_page
from workbench.report.formatting import summary_groups

WORK = work_named("self_knowledge")


def test_the_page_says_claims_rules_verdicts_and_what_is_not_shown(tmp_path: Path) -> None:
    before = written_record(WORK, {"question_end": 0.7, "shuffled": 0.5})
    after = written_record(WORK, {"question_end": 0.5}, condition="after")
    page = mechanism_page(WORK, [before, after], subject="a tiny model", configuration={})
    verdicts = dict(page.lead)["Verdicts"]
    assert [(row["before"], row["after"]) for row in verdicts] == [
        ("confirmed", "contradicted"),
        ("cannot tell", "cannot tell"),
        ("cannot tell", "cannot tell"),
    ]
    assert [row["rule"] for row in verdicts] == [
        "written before",
        "written before",
        "changed after numbers were seen",
    ]
    assert page.summary["verdict.question_alone.after"] == "contradicted"
    assert page.summary["question_end.before.low"] == pytest.approx(0.68)
    index = write_page(page, tmp_path / "page")
    text = unescape(index.read_text())
    assert 'class="badge confirmed"' in text
    assert 'class="badge contradicted"' in text
    assert WORK.claims[0].rule in text
    assert f"Changed after numbers were seen, input only: {WORK.claims[2].revised}" in text
    assert WORK.claims[2].told_rule in text
    assert "Not measured" in text
    for limit in WORK.limits:
        assert limit in text
    table = pd.read_csv(index.parent / "self_knowledge.csv")
    assert table[table["control"]]["measure"].tolist() == ["shuffled"]
    assert any("confirmed" in line for line in describe(page))


def test_all_numbers_stand_under_the_words_of_the_figures(tmp_path: Path) -> None:
    both = [
        written_record(WORK, {"question_end": 0.7, "shuffled": 0.5}, condition=condition)
        for condition in ("base", "taught")
    ]
    page = mechanism_page(WORK, both, subject="a tiny model", configuration={})
    groups = dict(summary_groups(page.summary, page.words))
    quantity = next(each for each in WORK.quantities if each.name == "question_end")
    assert [(row.key, row.label) for row in groups[quantity.axis]][:2] == [
        ("question_end.base", f"{quantity.label} · base"),
        ("question_end.taught", f"{quantity.label} · taught"),
    ]
    assert groups["verdict"][0].label == f"{WORK.claims[0].sentence} (base)"
    assert {*groups} == {
        "verdict",
        *(each.axis for each in WORK.quantities if each.name in ("question_end", "shuffled")),
    }
    text = unescape(write_page(page, tmp_path / "page").read_text())
    assert f'{quantity.label} · base <code class="soft">question_end.base</code>' in text


def test_a_page_is_of_one_work() -> None:
    with pytest.raises(WorkbenchError, match="needs records of it"):
        mechanism_page(WORK, [], subject="", configuration={})
