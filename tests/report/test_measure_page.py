from pathlib import Path

import numpy as np
import pytest

from workbench.measure.against import compare_groups
from workbench.measure.groups import Settings, measure_groups
from workbench.measure.interval import Estimate
from workbench.measure.table_file.answers import Answers
from workbench.measure.table_file.measure import Measured
from workbench.report.formatting import cell_text
from workbench.report.measure_page import (
    HEADINGS,
    MOST_GROUPS,
    table_rows,
    tidy_table,
    write_measured,
)

RNG = np.random.default_rng(0)
N = 240
SETTINGS = Settings(resamples=20)


def measured(groups: int, *, against: bool = False, retrieved: bool = False) -> Measured:
    scores = np.round(RNG.random(N), 1)
    answers = Answers(
        confidence=scores,
        correct=RNG.random(N) < scores,
        group=np.array([f"<b>g{i % groups}.5</b>" for i in range(N)], dtype=object),
        scale=1.0,
        id=np.array([f"q{i // groups}" for i in range(N)], dtype=object),
        retrieved=RNG.random(N) < 0.9 if retrieved else None,
        notes=("read as 0-1",),
    )
    base = "<b>g0.5</b>"
    paired = compare_groups(answers, base, SETTINGS, judge="own") if against else {}
    return Measured(answers, measure_groups(answers, SETTINGS), paired, base, "own", SETTINGS)


def test_the_page_holds_tables_and_figures_and_escapes_groups(tmp_path: Path) -> None:
    index = write_measured(tmp_path, "A <table>", measured(2, against=True, retrieved=True))
    page = index.read_text()
    for name in ("reliability", "histogram", "risk_coverage", "roc", "retrieval"):
        assert (tmp_path / f"{name}.html").is_file()
        assert f'id="{name}"' in page
    assert "<h2>Measures</h2>" in page
    assert "<h2>Difference to &lt;b&gt;g0.5&lt;/b&gt;</h2>" in page
    assert "<b>g" not in page
    assert "240 answers" in page
    assert "read as 0-1" in page


def test_too_many_groups_are_cut_in_figures_and_said(tmp_path: Path) -> None:
    found = measured(MOST_GROUPS + 2)
    page = write_measured(tmp_path, "t", found).read_text()
    assert f"the first {MOST_GROUPS} of {MOST_GROUPS + 2} groups" in page
    assert len(table_rows(found, HEADINGS)) == MOST_GROUPS + 2
    assert not (tmp_path / "retrieval.html").exists()


def test_columns_no_group_has_are_left_out() -> None:
    (first, *_) = table_rows(measured(2), HEADINGS)
    assert "within domain" not in first
    assert first["n"] == "120"


def test_the_tidy_table_has_every_estimate_of_every_group() -> None:
    found = measured(2)
    table = tidy_table(found).set_index(["group", "measure"])
    for group, each in found.groups.items():
        estimates = {k: v for k, v in each.values.items() if isinstance(v, Estimate)}
        assert set(table.loc[group].index) == set(estimates)
        for name, one in estimates.items():
            row = table.loc[(group, name)]
            assert [*row] == pytest.approx([one.value, one.low, one.high, one.n], nan_ok=True)


def test_values_as_written() -> None:
    assert cell_text(Estimate(0.5, 0.25, 0.75, 9)) == "0.500\n[0.250, 0.750]"
    assert cell_text(Estimate(0.5, np.nan, np.nan, 9)) == "0.500"
    assert (cell_text(1234), cell_text(0.12345), cell_text("Valid"), cell_text(np.nan)) == (
        "1,234",
        "0.123",
        "Valid",
        "not defined",
    )
