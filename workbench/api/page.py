"""Write a patching result into a folder: the page with its figure, and the tables next to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.api.results import PatchMap
from workbench.report import Page, Section, write_page

EXPLANATION = (
    "Effect: mean of patched minus unpatched reading; shift: the same as a share of the donor's "
    "distance, 0 nothing moved, 1 all of it. Controls are shown with the effect; what lies within "
    "the noise floor is arithmetic. A patch shows what a state suffices for where it is put."
)


def write_patching(folder: Path, found: PatchMap, settings: Mapping[str, Any]) -> Path:
    """Write ``index.html``, ``patching.html``, ``table.csv`` and ``summary.csv``; return the page.

    Raises:
        WorkbenchError: for a folder that is somebody else's or cannot be written to.
    """
    page = Page(
        found.what,
        [Section("Effects", EXPLANATION, found.figure(), "patching")],
        {"noise_floor": found.noise_floor, "pairs": len(found.base)},
        settings,
        {"table.csv": found.table(), "summary.csv": found.summary()},
    )
    return write_page(page, folder)
