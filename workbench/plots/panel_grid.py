"""Lay panels of curves out two in a row, with one horizontal axis a column and one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.plots.theme import GREY, apply_theme, safe

_PER_ROW = 2


@dataclass(frozen=True)
class PanelGrid:
    """The places of panels with ``titles``, each ``height`` pixels high.

    ``scale`` says whether panels of a row share the vertical axis (True) or all do.
    """

    titles: Sequence[str]
    height: int
    scale: Literal[True, "all"] = True

    @property
    def columns(self) -> int:
        return min(_PER_ROW, len(self.titles))

    @property
    def rows(self) -> int:
        return -(-len(self.titles) // self.columns)

    def start(self) -> go.Figure:
        """Return the figure with its empty panels."""
        return make_subplots(
            rows=self.rows,
            cols=self.columns,
            shared_xaxes=True,
            shared_yaxes=self.scale,
            subplot_titles=[safe(title) for title in self.titles],
            horizontal_spacing=0.05,
            vertical_spacing=0.16 / self.rows,
        )

    def place(self, number: int) -> dict[str, int]:
        """Return the row and the column of a panel, as plotly's functions take them."""
        return {"row": number // self.columns + 1, "col": number % self.columns + 1}

    def finish(self, figure: go.Figure, *, title: str, caption: str, x: str, y: str) -> None:
        """Give the drawn figure its look, its title and the titles of its axes."""
        apply_theme(
            figure, title=title, caption=caption, x="", y="", height=self.height * self.rows + 150
        )
        for column in range(1, self.columns + 1):
            # The last row may be shorter: each column's lowest panel carries its axis.
            row = -(-(len(self.titles) - column + 1) // self.columns)
            figure.update_xaxes(
                title_text=x, title_font_color=GREY, showticklabels=True, row=row, col=column
            )
        figure.update_yaxes(title_text=y, title_font_color=GREY, col=1)
        figure.update_layout(margin_t=figure.layout.margin.t + 24)
