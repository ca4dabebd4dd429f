"""What a page looks like in the dark and where there is little room."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.measure import Estimate
from workbench.plots import EstimateRow, EstimateRows
from workbench.plots.effect_grid import DIVERGING, effect_grid
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


def test_cells_of_a_map_are_painted_for_the_dark(visit: Visit, tmp_path: Path) -> None:
    """No effect lies near the ground, the largest is bright, and marks stand out from both."""
    figure = effect_grid(
        layers=np.arange(2),
        columns=["a", "b"],
        shift=np.array([[0.0, 1.0], [-1.0, 0.3]]),
        low=np.zeros((2, 2)),
        high=np.zeros((2, 2)),
        p_any=np.array([[1.0, 0.01], [0.01, 0.01]]),
        floor=0.01,
        limit=None,
        title="t",
        caption="c",
        x="x",
    )
    figure.add_annotation(x=1, y=1, text="n", font={"color": "#FFFFFF"})
    index = write_page(Page("t", [Section("s", "s", figure, "one")], {}, {}), tmp_path / "page")
    page = visit(index, color_scheme="dark")
    page.wait_for_selector(".plot.js-plotly-plot")
    scale = "document.querySelector('.plot').data[0].colorscale.map((each) => each[1])"
    light = [colour for _, colour in DIVERGING]

    def brightness() -> list[float]:
        return [
            page.evaluate(
                """(colour) => { const pen = document.createElement("canvas").getContext("2d");
                pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
                return Math.max(...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)); }""",
                colour,
            )
            for colour in page.evaluate(scale)
        ]

    least, *_, most = brightness()
    middle = brightness()[light.index("#FFFFFF")]
    assert middle < 60
    assert least > 200
    assert most > 200
    marks = "document.querySelector('.plot').data[2].marker.color"
    assert page.evaluate(marks) == ["#1d1e20", "#1d1e20", "#e8e8e8"]
    note = "document.querySelector('.plot').layout.annotations.at(-1).font.color"
    assert page.evaluate(note) == "#1d1e20"
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(scale) == light
    assert page.evaluate(marks) == ["#ffffff", "#ffffff", "#222222"]


def test_a_phone_shows_what_long_names_name(visit: Visit, tmp_path: Path) -> None:
    """Names of rows leave half of the screen to the dots, and do not run into one another."""
    rows = [
        EstimateRow(
            "base", f"control: expected confidence of shuffled {name}", Estimate(0, -1, 1, 9)
        )
        for name in ("commitment", "correctness", "likelihoods")
    ]
    figure = EstimateRows(rows=rows, axis="x", title="t", caption="c").figure()
    index = write_page(Page("t", [Section("s", "s", figure, "one")], {}, {}), tmp_path / "page")
    page = visit(index, viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    page.wait_for_selector(".plot.js-plotly-plot")
    assert page.evaluate("document.querySelector('.plot')._fullLayout._size.l") < 390 / 2
    boxes = sorted(
        (box["y"], box["y"] + box["height"])
        for each in page.locator(".ytick text").all()
        if (box := each.bounding_box()) is not None
    )
    assert len(boxes) == 3
    assert all(end <= start for (_, end), (start, _) in pairwise(boxes))


def test_a_phone_shows_the_key_of_a_number(visit: Visit, tmp_path: Path) -> None:
    """There is nothing to hover with."""
    key = "a_very_long_measure.of_a_very_long_condition.within_a_very_long_part.of_the_questions"
    index = write_page(Page("t", [], {key: 1.0}, {}), tmp_path / "page")
    page = visit(index, viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    page.locator(".group summary").tap()
    assert page.get_by_text(key, exact=True).is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


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
