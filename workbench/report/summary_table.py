"""Hold the summary of a run, as a dictionary that shows itself as a table in a notebook.

Rows are grouped by the first part of their key, with the interval beside the value, as the command
line and the page of a run show them. :mod:`workbench.report.summary_keys` explains the keys.
"""

from __future__ import annotations

from html import escape
from typing import Any

from workbench.report.formatting import summary_groups


class Summary(dict[str, Any]):
    """A flat dictionary with dotted keys; ``key.low`` and ``key.high`` bound ``key``."""

    def _repr_html_(self) -> str:
        parts = []
        for group, rows in summary_groups(self):
            parts.append(f"<tr><th colspan=3 style='text-align:left'>{escape(group)}</th></tr>")
            parts += [
                f"<tr><td title='{escape(row.key)}' style='text-align:left'>{escape(row.label)}"
                f"</td><td>{escape(row.value)}</td><td>{escape(row.interval)}</td></tr>"
                for row in rows
            ]
        head = "<tr><th></th><th>value</th><th>95 % interval</th></tr>"
        return f"<table>{head}{''.join(parts)}</table>"
