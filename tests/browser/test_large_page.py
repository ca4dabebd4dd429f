"""A page of 2,000 questions with the colours of their tokens, and one of hostile texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from workbench.report import Page, Section, write_page
from workbench.report.explorer import (
    Explorer,
    ExplorerColumn,
    ItemCurves,
    ItemTokens,
    TokenColours,
)
from workbench.report.findings import Card, CardNumber, Finding, Judgement

Visit = Callable[..., Any]
NASTY = "<img src=x onerror=\"document.title='hit'\"></script><script>document.title='hit'</script>"
RIGHT_TO_LEFT = "مرحبا \u202eabc"


def large_page(questions: int, layers: int) -> Page:
    """A page with hostile texts among its questions."""
    rng = np.random.default_rng(0)
    texts = [f"question {n} of the many" for n in range(questions)]
    texts[0], texts[1], texts[2] = NASTY, RIGHT_TO_LEFT, "w" * 5000
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], name=NASTY))
    finding = Finding(NASTY, [Judgement(NASTY, "holds", [NASTY], NASTY)], NASTY)
    return Page(
        NASTY,
        [Section(NASTY, NASTY, figure, "one", finding)],
        {},
        {},
        card=Card(NASTY, [CardNumber(NASTY, "1")], NASTY),
        caveats=[NASTY],
        explorer=Explorer(
            NASTY,
            NASTY,
            [
                ExplorerColumn("question", "text"),
                ExplorerColumn("domain", "choice"),
                ExplorerColumn("probe", "percent"),
            ],
            [[text, NASTY if n % 2 else "b", rng.random()] for n, text in enumerate(texts)],
            {NASTY: texts},
            ItemTokens(
                [[NASTY, "b"] * 75] * questions,
                {NASTY: [3] * questions},
                TokenColours(
                    NASTY,
                    NASTY,
                    "points",
                    {name: [rng.normal(size=150)] * questions for name in (NASTY, "b")},
                    NASTY,
                ),
            ),
            [
                ItemCurves(
                    NASTY,
                    np.arange(float(layers)),
                    {f"{NASTY} {n}": rng.random((questions, layers)) for n in range(4)},
                    NASTY,
                    NASTY,
                ),
                ItemCurves(
                    "scale",
                    np.arange(101.0),
                    {"a": rng.random((questions, 101))},
                    "x",
                    "y",
                    bars=True,
                ),
            ],
        ),
    )


def test_hostile_text_stays_text(visit: Visit, tmp_path: Path) -> None:
    page = visit(write_page(large_page(60, 5), tmp_path / "page"))
    page.locator(".opener").first.click()
    page.wait_for_selector("#opened .js-plotly-plot")
    page.wait_for_timeout(300)
    assert page.title() == NASTY
    page.locator("#opened input[type=radio]").last.check()
    page.wait_for_selector("#opened .key")
    assert page.locator("img").count() == 0
    assert page.locator("#opened h3").inner_text() == NASTY
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_two_thousand_questions_fit_and_open(visit: Visit, tmp_path: Path) -> None:
    index = write_page(large_page(2000, 81), tmp_path / "page")
    size = sum(path.stat().st_size for path in index.parent.iterdir())
    assert size <= 15e6
    page = visit(index)
    page.wait_for_selector("table.items")
    page.get_by_label("Search").fill("question 1999")
    page.locator(".opener").first.click()
    page.wait_for_selector("#opened .js-plotly-plot")
    assert page.locator("#opened h3").inner_text() == "question 1999 of the many"
