"""Read the files of the live bench's page: its own, those it shares with the reports' pages, and
plotly's code.
"""

from __future__ import annotations

from functools import cache

from plotly.offline import get_plotlyjs

from workbench.report.html import own_script

PAGE, PLOTLY = "live.html", "plotly.js"
SHARED = {
    "page.css": "page.css",
    "page.js": "page.js",
    "htm-preact.js": "vendor/htm-preact.js",
}
"""Where the reports' folder has the files that belong to the reports."""


@cache
def page_file(name: str) -> str:
    """Return the text of a file by the name that the page calls it."""
    if name == PLOTLY:
        return str(get_plotlyjs())
    if name in SHARED:
        return str(own_script(SHARED[name]))
    return str(own_script(f"page/{name}", "workbench.live"))
