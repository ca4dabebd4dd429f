from __future__ import annotations

import plotly.graph_objects as go

from workbench.report import Page, Section, describe


def page(**changes: object) -> Page:
    given: dict[str, object] = {
        "title": "Does it?",
        "sections": [Section("First", "Words.", go.Figure(), "first")],
        "summary": {"accuracy": 0.5, "n": 3},
        "configuration": {"seed": 0},
    }
    return Page(**{**given, **changes})  # type: ignore[arg-type]


def test_it_is_told_line_by_line() -> None:
    summary = {"auroc2": 0.5, "auroc2.low": 0.25, "auroc2.high": 0.75, "n": 1200, "low": 1}
    told = describe(page(summary=summary, notes=["one\ntwo"]))
    assert told == ["one", "two", "auroc2  0.500  0.250 to 0.750", "n       1,200", "low     1"]
    rows = [{"who": "a", "AUROC2": "0.5\n[0, 1]"}, {"who": "longer"}]
    assert describe(page(lead=[("Rows", rows)])) == [
        "",
        "Rows",
        "who     AUROC2",
        "a       0.5 [0, 1]",
        "longer",
    ]


def test_narrow_tables_stand_in_place_of_wide_ones() -> None:
    wide, narrow = [("Rows", [{"a": "1", "b": "2"}])], [("Rows", [{"a": "1"}])]
    assert describe(page(lead=wide, narrow=narrow)) == ["", "Rows", "a", "1"]
    assert describe(page(lead=wide, narrow=())) == ["accuracy  0.500", "n         3"]
