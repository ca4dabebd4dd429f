"""Draw the four cells of alignment: internal against stated confidence, cut into high and low on
both sides.

Top right both are high (consistent), bottom left both low (discordant with answering at all); top
left only the text is confident (external over-confidence), bottom right only the softmax (internal
over-confidence). Points are questions, shifted a little where many state the same; right and wrong
answers have different marks. Shares are of all questions with both confidences, with Wilson
intervals. The cells depend on the cuts, which are drawn, and which the caller names in the caption.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.alignment import Split, cut_of, four_cells
from workbench.measure.inputs import checked
from workbench.measure.shares import wilson_interval
from workbench.plots.theme import BLUE, GREY, ORANGE, apply_theme

_MOST_POINTS = 2000
_WORDS = {
    "consistent": ("consistent", 1, 1),
    "internal_over": ("internal over-confidence", 1, 0),
    "external_over": ("external over-confidence", 0, 1),
    "discordant": ("discordant", 0, 0),
}


@dataclass(frozen=True, kw_only=True)
class FourCells:
    """The figure's data: ``internal`` [n] and ``stated`` [n] on 0-1 (NaN = unparsed), ``correct``
    [n], and how each side is cut.
    """

    internal: NDArray[np.float64]
    stated: NDArray[np.float64]
    correct: NDArray[np.bool_]
    internal_split: Split
    stated_split: Split
    title: str
    caption: str

    def __post_init__(self) -> None:
        internal, _ = checked(self.internal, self.correct)
        stated, _ = checked(self.stated, self.correct)
        if not (~np.isnan(internal) & ~np.isnan(stated)).any():
            raise WorkbenchError("the four cells need at least one question with both confidences")

    def figure(self) -> go.Figure:
        """Draw points, the two cuts, and each cell's share."""
        known = ~np.isnan(self.internal) & ~np.isnan(self.stated)
        x, y, right = (
            self.internal[known],
            self.stated[known],
            np.asarray(self.correct, dtype=np.bool_)[known],
        )
        cells = four_cells(x, y, internal_split=self.internal_split, stated_split=self.stated_split)
        figure = go.Figure()
        rng = np.random.default_rng(0)
        drawn = rng.permutation(len(x))[:_MOST_POINTS]
        jitter = rng.uniform(-0.015, 0.015, len(x))
        for name, hit, colour, symbol in (
            ("right", right, BLUE, "circle"),
            ("wrong", ~right, ORANGE, "x"),
        ):
            rows = drawn[hit[drawn]]
            figure.add_trace(
                go.Scatter(
                    x=x[rows],
                    y=(y + jitter)[rows],
                    customdata=y[rows],
                    mode="markers",
                    marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.55},
                    name=f"{name} ({int(hit.sum())})",
                    hovertemplate=(
                        "internal %{x:.3f}<br>stated "
                        "%{customdata:.3g}<extra>%{fullData.name}</extra>"
                    ),
                )
            )
        figure.add_vline(
            cut_of(x, self.internal_split), line={"color": GREY, "dash": "dash", "width": 1.2}
        )
        figure.add_hline(
            cut_of(y, self.stated_split) - 0.02, line={"color": GREY, "dash": "dash", "width": 1.2}
        )
        for name, share in cells.items():
            self._label(figure, name, share, len(x))
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="internal confidence (0-1)",
            y="stated confidence (0-1)",
            height=560,
        )
        figure.update_xaxes(range=[-0.03, 1.03])
        figure.update_yaxes(range=[-0.12, 1.14])
        return figure

    def _label(self, figure: go.Figure, cell: str, share: float, n: int) -> None:
        words, right, top = _WORDS[cell]
        low, high = (100 * float(bound) for bound in wilson_interval(round(share * n), n))
        figure.add_annotation(
            text=f"{words} {100 * share:.0f} % [{low:.0f}, {high:.0f}]",
            x=0.99 if right else 0.01,
            xref="paper",
            xanchor="right" if right else "left",
            y=0.99 if top else 0.01,
            yref="paper",
            yanchor="top" if top else "bottom",
            showarrow=False,
            font={"size": 13},
            bgcolor="rgba(255,255,255,0.8)",
        )
