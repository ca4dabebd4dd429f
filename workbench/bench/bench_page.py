"""Write what a benchmark measured: the page with its table in words and its figures, and
``table.csv`` with every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.report import Page, Section, write_page


def write_bench_page(
    folder: Path,
    title: str,
    sections: Sequence[Section],
    values: Mapping[str, Any],
    rows: Sequence[Mapping[str, str]],
    notes: Sequence[str],
    more: Sequence[tuple[str, Sequence[Mapping[str, str]]]] = (),
) -> Path:
    """Write the page and the table into ``folder`` (made if missing); return the path of
    ``index.html``.

    Args:
        values: everything measured, with dotted keys; those without a dot are settings.
        rows: the same in words, as :mod:`.result_rows` has them.
        more: further tables above the figures, each with its heading.
    """
    table = pd.DataFrame({"key": list(values), "value": [str(value) for value in values.values()]})
    settings = {key: values[key] for key in values if "." not in key and "_over_" not in key}
    page = Page(
        title,
        sections,
        {},
        {**settings, "notes": notes},
        {"table.csv": table},
        [*([("Measured", rows)] if rows else []), *more],
    )
    return write_page(page, folder)
