"""What a run leaves for the list of runs is what its summary says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.loop.record import HEADLINES, run_record
from workbench.loop.results import loop_results
from workbench.loop.run import Run
from workbench.report.run_records import RECORD_FILE, read_record


def test_headlines_are_those_of_the_summary(context: Run, finished_run: Any) -> None:
    record = run_record(context, loop_results(context))
    assert [one.label for one in record.headlines] == list(HEADLINES)
    for one, key in zip(record.headlines, HEADLINES.values(), strict=True):
        wanted = finished_run.summary.get(str(key))
        assert one.value == (None if wanted is None else pytest.approx(wanted, nan_ok=True)), key
    assert record.finished
    assert record.facts["questions"] == str(finished_run.summary["questions.test"])
    titles = [curve.title for curve in record.curves]
    assert len(set(titles)) == len(titles) == 5


def test_it_lies_beside_the_page_and_is_read_back(context: Run, finished_run: Any) -> None:
    kept = read_record(Path(finished_run.figures) / RECORD_FILE)
    assert kept.headlines == run_record(context, loop_results(context)).headlines


def test_a_run_that_has_only_answered_leaves_what_it_has(context: Run) -> None:
    early = replace(
        loop_results(context), finished=("questions", "answer"), measures={}, verdicts=()
    )
    record = run_record(context, early)
    assert not record.finished
    assert record.curves == []
    assert all(one.value is None for one in record.headlines)
