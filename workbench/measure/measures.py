"""Hold measures by name, as a dictionary that shows itself as a table in a notebook.

A line has the measure's name, its value, its interval and the number of questions. Measures without
an interval, such as counts and names of methods, have their value alone. What an interval does not
cover is said where it is computed (:mod:`workbench.measure.interval`).
"""

from __future__ import annotations

from html import escape

import numpy as np

from workbench.measure.interval import Estimate


class Measures(dict[str, "Estimate | float | str"]):
    """A dictionary from names to estimates, numbers or words."""

    def _repr_html_(self) -> str:
        return measures_html(self)


def measures_html(measures: dict[str, Estimate] | Measures) -> str:
    """Return ``measures`` as an HTML table."""
    head = "<tr><th></th><th>value</th><th>interval</th><th>questions</th></tr>"
    return f"<table>{head}{''.join(_row(name, each) for name, each in measures.items())}</table>"


def _row(name: str, measure: Estimate | float | str) -> str:
    if isinstance(measure, Estimate):
        bounded = not np.isnan(measure.low)
        interval = f"[{measure.low:.3f}, {measure.high:.3f}]" if bounded else ""
        cells = (_number(measure.value), interval, str(measure.n))
    else:
        cells = (measure if isinstance(measure, str) else _number(measure), "", "")
    return (
        f"<tr><th>{escape(name)}</th>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>"
    )


def _number(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.3f}"
