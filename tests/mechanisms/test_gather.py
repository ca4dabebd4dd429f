from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.mechanisms import written_record
from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.gather import gather
from workbench.mechanisms.outcomes import CANNOT_TELL, CONFIRMED, CONTRADICTED
from workbench.mechanisms.table import VERDICTS, table_rows

WORK = work_named("self_knowledge")


def test_seeds_are_averaged_and_models_are_not() -> None:
    found = gather(
        [
            written_record(WORK, {"question_end": 0.7}, seed=1),
            written_record(WORK, {"question_end": 0.5}, seed=0, half=0.04),
            written_record(WORK, {"question_end": 0.5}, model="large"),
        ]
    )
    assert [(each.subject.model, each.seeds) for each in found] == [
        ("tiny", (0, 1)),
        ("large", (0,)),
    ]
    tiny, large = found
    assert tiny.means["question_end"].estimate.value == pytest.approx(0.6)
    assert tiny.by_seed["question_alone"] == {0: CONTRADICTED, 1: CONFIRMED}
    assert tiny.outcomes["question_alone"] == CANNOT_TELL
    assert large.outcomes["question_alone"] == CONTRADICTED


def test_what_cannot_be_gathered() -> None:
    record = written_record(WORK, {"question_end": 0.7})
    with pytest.raises(WorkbenchError, match="the same seed; give each run once"):
        gather([record, record])
    other = replace(record, seed=1, rules={**record.rules, "input_only": "as I like"})
    with pytest.raises(WorkbenchError, match="judged by another rule for 'input_only'"):
        gather([record, other])


def test_the_table_has_verdicts_numbers_and_published_figures() -> None:
    tested = gather(
        [written_record(WORK, {"question_end": 0.7}, seed=seed, half=0.04) for seed in (0, 1)]
    )
    rows = table_rows(tested)
    (verdict,) = [row for row in rows if row["section"] == VERDICTS and "2509" in row["row"]]
    assert verdict["word"] == "confirmed, 2 of 2 seeds alone"
    (verdict,) = [row for row in rows if row["section"] == VERDICTS and "2605" in row["row"]]
    assert verdict["word"].endswith("seeds alone; changed after numbers were seen")
    (rule,) = [row for row in rows if row["row"] == "rule: input only" and row["column"] == "here"]
    assert rule["word"].endswith(WORK.claim("input_only").revised)
    name = "AUROC2 within domain: states at the question's end"
    (number,) = [row for row in rows if row["row"] == name and row["n"]]
    assert (number["value"], number["low"]) == (0.7, 0.66)
    published = {row["row"]: row["word"] for row in rows if row["column"] == "published"}
    assert published["rule: input only"] == "not known"
    assert "0.68 to 0.88" in published["rule: question alone"]
