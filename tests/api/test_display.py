from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from workbench.api import display


def test_html_holds_all_it_needs() -> None:
    page = display.result_html(go.Figure(go.Scatter(y=[1, 2])), "<table></table>")
    assert page.endswith("<table></table>")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page
    assert display.result_html(None, "<p>1</p>") == "<p>1</p>"


def test_a_notebook_gets_the_figure_and_then_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    monkeypatch.setattr("IPython.display.display", lambda each: shown.append(each.data))
    figure = go.Figure()
    display.show_result(figure, "<p>1</p>")
    display.show_result(None, "<p>2</p>")
    assert shown == [figure, "<p>1</p>", "<p>2</p>"]
