from __future__ import annotations

import json
import os
import re
from pathlib import Path

from workbench.files.ownership import claim_folder
from workbench.report.run_records import RECORD_FILE, Headline, RunRecord
from workbench.report.runs_page import write_runs_page

NASTY = "</script><script>alert(1)</script>"


def record(folder: Path, name: str, when: int, answer: str = "It does.") -> None:
    claim_folder(folder / name)
    path = folder / name / RECORD_FILE
    headlines = [Headline("AUROC2", 0.5)]
    content = RunRecord("t", answer, {"model": NASTY}, headlines, [], True).to_json()
    path.write_text(json.dumps(content))
    os.utime(path, (when, when))


def runs_on(text: str) -> list[str]:
    found = re.search(r'id="records">(.*?)</script>', text, re.DOTALL)
    assert found
    return [each["name"] for each in json.loads(found.group(1))]


def test_runs_are_listed_the_last_first(tmp_path: Path) -> None:
    record(tmp_path, "old", 100)
    record(tmp_path, "new", 200, NASTY)
    page = write_runs_page(tmp_path)
    assert page == tmp_path / "index.html"
    text = page.read_text()
    assert runs_on(text) == ["new", "old"]
    assert "<script>alert" not in text
    assert re.findall(r'<script[^>]*\bsrc="([^"]*)"', text) == ["new/plotly.min.js"]


def test_a_broken_record_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    record(tmp_path, "good", 100)
    record(tmp_path, "bad", 200)
    (tmp_path / "bad" / RECORD_FILE).write_text("{")
    page = write_runs_page(tmp_path)
    assert page is not None
    text = page.read_text()
    assert runs_on(text) == ["good"]
    assert "bad: " in text


def test_it_is_written_again_with_every_run(tmp_path: Path) -> None:
    for at, name in enumerate(("one", "two")):
        record(tmp_path, name, 100 + at)
        page = write_runs_page(tmp_path)
        assert page is not None
        assert len(runs_on(page.read_text())) == at + 1


def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    record(tmp_path, "one", 100)
    (tmp_path / "index.html").write_text("mine")
    assert write_runs_page(tmp_path) is None
    assert (tmp_path / "index.html").read_text() == "mine"


def test_no_page_without_runs_and_none_in_an_analysis(tmp_path: Path) -> None:
    assert write_runs_page(tmp_path) is None
    claim_folder(tmp_path / "analysis")
    record(tmp_path / "analysis", "part", 100)
    assert write_runs_page(tmp_path / "analysis") is None
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / RECORD_FILE).write_text("{}")
    assert write_runs_page(tmp_path) is None
