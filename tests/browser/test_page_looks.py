"""What a page looks like in the dark and where there is little room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from workbench.report import Page, Section, write_page

Visit = Callable[..., Any]


def test_lines_of_a_figure_are_painted_for_the_dark(visit: Visit, tmp_path: Path) -> None:
    """A dark line would be unseen there, and a light one would shine."""
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1]))
    figure.add_vline(0.5, line={"color": "#222222"})
    figure.add_hline(0.5, line={"color": "#dcdcdc"})
    index = write_page(Page("t", [Section("s", "s", figure, "one")], {}, {}), tmp_path / "page")
    page = visit(index, color_scheme="dark")
    page.wait_for_selector(".plot.js-plotly-plot")
    lines = "document.querySelector('.plot').layout.shapes.map((each) => each.line.color)"
    assert page.evaluate(lines) == ["#e8e8e8", "#55585c"]
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(lines) == ["#222222", "#dcdcdc"]


def test_long_headings_and_sentences_in_tables_fit(visit: Visit, tmp_path: Path) -> None:
    """Neither the list of sections nor a table of published numbers is cut at the side."""
    sections = [
        Section(f"AUROC2 within domain, one of many minus another {n}", "s", go.Figure(), f"f{n}")
        for n in range(3)
    ]
    sentence = "as it is minus with the set ablated 0.03 [0.01, 0.04]; " * 3
    row = {
        "claim": "recalibrates",
        "published": "ECE on PopQA with the intervention: 0.018",
        "in the paper": "listed among the benchmark results of it",
        "base": sentence,
        "taught": sentence,
    }
    built = Page("t", sections, {}, {}, lead=[("Published, and here", [row])])
    index = write_page(built, tmp_path / "page")
    page = visit(index, viewport={"width": 1100, "height": 800})
    at = page.locator(".lead .scroll")
    assert at.evaluate("(at) => at.scrollWidth <= at.clientWidth")
    phone = visit(index, viewport={"width": 390, "height": 800}, is_mobile=True)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
