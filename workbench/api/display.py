"""Show a result below the cell of a notebook that ends with it: its figure, then its numbers.

Jupyter draws the figure by whatever renderer plotly is set to, so that plotly's own code is in a
notebook once at most. Other programs that ask an object for HTML get one text that needs no
network: plotly's code is in it, 5 MB. Nothing is shown unless a notebook asks.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

ROWS = 40
"""Most lines of a table that are shown; a result's own ``summary()`` has all."""


def show_result(figure: go.Figure | None, numbers: str) -> None:
    """Show a figure, where there is one, and below it ``numbers``, which are HTML."""
    from IPython.display import HTML, display

    if figure is not None:
        figure.show()
    display(HTML(numbers))


def result_html(figure: go.Figure | None, numbers: str) -> str:
    """Return a figure, where there is one, and ``numbers``, which are HTML, as one HTML text."""
    drawn = "" if figure is None else figure.to_html(full_html=False, include_plotlyjs=True)
    return drawn + numbers


def folded_table(table: pd.DataFrame, opened: bool) -> str:
    """Return a table as HTML that unfolds when it is clicked, without columns of nothing but NaN.

    Args:
        opened: unfolded from the start, where no figure stands above.
    """
    rows = table.dropna(axis="columns", how="all").round(4)
    inner = rows.to_html(max_rows=ROWS, index=False, na_rep="", border=0)
    attribute = " open" if opened else ""
    return f"<details{attribute}><summary>numbers, {len(rows)} lines</summary>{inner}</details>"
