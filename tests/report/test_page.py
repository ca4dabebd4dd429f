import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.errors import WorkbenchError
from workbench.files.ownership import MARK
from workbench.plots import LayerQuestionHeatmap
from workbench.report import Page, Section, Step, write_page

TABLE = pd.DataFrame({"measure": ["a", "=1+1"], "value": [0.25, float("nan")]})
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def section(name: str = "heat_map") -> Section:
    figure = LayerQuestionHeatmap(
        layers=np.arange(2),
        labels=[NASTY],
        shift=np.array([[0.25, 0.75]]),
        floor=np.zeros(1),
        title=NASTY,
        caption=NASTY,
    ).figure()
    return Section(f"Heat {NASTY}", f"Read {NASTY}", figure, name)


def report(folder: Path, **changes: Any) -> str:
    parts: dict[str, Any] = {
        "title": f"Run {NASTY}",
        "sections": [section(), section("second")],
        "summary": {
            "auroc2.stated.before": 0.5512,
            "auroc2.stated.before.low": 0.4,
            "auroc2.stated.before.high": 0.7,
        },
        "configuration": {"model": NASTY, "path": folder},
        "tables": {"a b.parquet": TABLE},
        "samples": [{"question": NASTY, "answer": NASTY, "correct": True, "stated_before": 95.0}],
    }
    return write_page(Page(**(parts | changes)), folder).read_text(encoding="utf-8")


def test_files_written(tmp_path: Path) -> None:
    report(tmp_path / "deep" / "run")
    names = sorted(path.name for path in (tmp_path / "deep" / "run").iterdir() if path.name != MARK)
    assert names == ["a b.parquet", "heat_map.html", "index.html", "plotly.min.js", "second.html"]


def test_nothing_is_loaded_from_the_network(tmp_path: Path) -> None:
    index = report(tmp_path)
    for text in (index, (tmp_path / "second.html").read_text(encoding="utf-8")):
        assert re.findall(r'<script[^>]*\bsrc="([^"]*)"', text) == ["plotly.min.js"]
        assert "http://" not in text
        assert "https://" not in text
        assert "showSendToCloud: false" in text
        assert "responsive: true" in text


def test_text_from_models_and_files_is_escaped_everywhere(tmp_path: Path) -> None:
    index = report(tmp_path)
    for text in (index, (tmp_path / "heat_map.html").read_text(encoding="utf-8")):
        assert "<script>alert" not in text
        assert "<img" not in text
    assert index.count("&lt;script&gt;alert(1)") >= 8


def test_summary_sample_tables_and_configuration(tmp_path: Path) -> None:
    index = report(tmp_path)
    assert "0.551" in index
    assert "0.400 to 0.700" in index
    assert '<code class="soft">auroc2.stated.before</code>' in index
    assert '<td class="right">right</td>' in index
    assert '<a href="a%20b.parquet">a b.parquet</a>' in index
    assert "<details" in index
    assert tmp_path.name in index
    assert str(tmp_path) not in index


def test_standalone_figure_carries_its_own_numbers_only(tmp_path: Path) -> None:
    report(tmp_path)
    alone = (tmp_path / "second.html").read_text(encoding="utf-8")
    assert 'id="figure-second"' in alone
    assert 'id="figure-heat_map"' not in alone
    assert 'id="summary"' not in alone


def test_the_figure_in_the_page_is_the_figure_given(tmp_path: Path) -> None:
    figure = go.Figure(go.Scatter(x=[1, 2], y=[0.125, 0.875], name="line"))
    index = report(tmp_path, sections=[Section("t", "e", figure, "only")])
    drawn = re.search(r'data-figure="figure-only">(.*?)</script>', index, re.DOTALL)
    assert drawn
    assert json.loads(drawn.group(1))["data"][0]["y"] == [0.125, 0.875]
    assert "<td>0.875</td>" in index


def test_writing_again_gives_the_same_bytes_and_leaves_no_rubbish(tmp_path: Path) -> None:
    first = report(tmp_path)
    assert report(tmp_path) == first
    assert len(list(tmp_path.iterdir())) == 6


def test_a_failed_write_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = report(tmp_path)

    def refuse(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(WorkbenchError, match=r"Cannot write .*a b\.parquet: disk full\."):
        report(tmp_path, title="other")
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == first
    assert len(list(tmp_path.iterdir())) == 6


def test_empty_parts_are_left_out(tmp_path: Path) -> None:
    index = report(tmp_path, sections=[], summary={}, tables={}, samples=[])
    for part in ("summary", "sample", "tables"):
        assert f'id="{part}"' not in index


@pytest.mark.parametrize("name", ["index", "../up", "Upper", "", "a b"])
def test_figure_names_that_are_no_file_names(name: str) -> None:
    with pytest.raises(WorkbenchError, match="cannot be a file name"):
        section(name)


@pytest.mark.parametrize("table", ["/etc/passwd.csv", "../x.parquet", "a\\b.csv"])
def test_tables_outside_the_folder_are_refused(tmp_path: Path, table: str) -> None:
    with pytest.raises(WorkbenchError, match="not inside"):
        report(tmp_path / "page", tables={table: TABLE})
    assert list(tmp_path.iterdir()) == []


def test_two_sections_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="share a name"):
        report(tmp_path, sections=[section(), section()])


def test_tables_stand_first_then_figures_then_all_numbers_folded(tmp_path: Path) -> None:
    rows = [{"arm": "before", "AUROC2": "0.551"}]
    index = report(tmp_path, summary={"a.x": 1, "a.y": 2, "b": 3}, lead=[("What is said", rows)])
    order = [
        "<h2>What is said</h2>",
        'id="heat_map"',
        'id="second"',
        'id="summary"',
        'id="sample"',
        'id="tables"',
    ]
    places = [index.index(part) for part in order]
    assert places == sorted(places)
    folded = re.findall(r'<details class="group">.*?</details>', index, re.DOTALL)
    assert [re.findall(r"<code.*?>(.*?)</code>", group) for group in folded] == [
        ["a.x", "a.y"],
        ["b"],
    ]
    assert 'href="#summary"' in index


def test_files_of_numbers_stand_beside_the_page(tmp_path: Path) -> None:
    records = {"two.json": {"code": "x", "lines": TABLE.to_dict("records"), "left out": {}}}
    index = report(tmp_path, tables={"one.csv": TABLE, "two.parquet": TABLE}, records=records)
    kept = json.loads((tmp_path / "two.json").read_text())
    assert list(kept) == ["code", "lines", "left out"]
    assert kept["lines"] == [{"measure": "a", "value": 0.25}, {"measure": "=1+1", "value": None}]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "two.parquet"), TABLE)
    # A spreadsheet would take the text for a formula.
    assert pd.read_csv(tmp_path / "one.csv")["measure"].tolist() == ["a", "'=1+1"]
    assert all(f'href="{name}"' in index for name in ("one.csv", "two.parquet", "two.json"))


def test_a_table_of_another_kind_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"neither .csv nor .parquet"):
        report(tmp_path / "page", tables={"one.txt": TABLE})
    assert list(tmp_path.iterdir()) == []


def test_figures_are_had_by_name() -> None:
    page = Page("Why?", [section("one"), section("two")], {}, {})
    assert list(page.figures) == ["one", "two"]


def test_a_page_that_lacks_stages_says_so_at_its_head(tmp_path: Path) -> None:
    steps = [Step("answer", "9 answers", 61.04), Step("probe", f"what is known {NASTY}")]
    text = report(tmp_path, steps=steps)
    assert "<title>Not finished: Run" in text
    head = text[text.index("<h1>") : text.index('id="heat_map"')]
    assert "Not finished: 1 of 2 stages still to come" in head
    assert "<th>answer</th><td>9 answers</td>" in head
    assert "61.0 s" in head
    assert "still to come: what is known &lt;/script&gt;" in head
    assert 'class="missing"' in head
    assert 'id="stages"' not in text


def test_a_page_with_every_stage_has_their_results_folded(tmp_path: Path) -> None:
    text = report(tmp_path, steps=[Step("answer", "9 answers", 0.0)])
    assert "Not finished" not in text
    assert text.index('id="heat_map"') < text.index('id="stages"') < text.index("9 answers")
    assert "Not finished" not in report(tmp_path)
    assert 'id="stages"' not in report(tmp_path)


def test_only_what_has_changed_is_written_again(tmp_path: Path) -> None:
    report(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}
    (tmp_path / "second.html").write_text("half a figure")
    report(tmp_path, title="Another")
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.*")}
    assert {name for name in before if before[name] != after[name]} == {
        "index.html",
        "second.html",
        "a b.parquet",
    }
