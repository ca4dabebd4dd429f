from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
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


def test_a_table_is_folded_and_leaves_out_what_was_not_measured() -> None:
    table = pd.DataFrame({"layer": range(100), "effect": [0.123456] * 100, "effect_low": np.nan})
    page = display.folded_table(table, opened=False)
    assert page.startswith("<details><summary>numbers, 100 lines</summary>")
    assert "0.1235" in page
    assert "effect_low" not in page
    assert page.count("<tr") <= display.ROWS + 2
    assert display.folded_table(table, opened=True).startswith("<details open>")
