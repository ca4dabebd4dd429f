"""The list of runs in a real browser: chosen, compared, linked to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.report.run_records import RECORD_FILE
from workbench.report.runs_page import write_runs_page


@pytest.fixture(scope="module")
def runs(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, the second with other numbers."""
    folder = tmp_path_factory.mktemp("figures")
    for name in ("first", "second <b>"):
        shutil.copytree(finished_run.figures, folder / name)
    path = folder / "second <b>" / RECORD_FILE
    content = json.loads(path.read_text())
    content["headlines"][0] |= {"value": 0.125, "low": 0.0, "high": 0.25}
    path.write_text(json.dumps(content))
    page = write_runs_page(folder)
    assert page is not None
    return page


def test_chosen_runs_stand_side_by_side_and_a_link_keeps_them(
    visit: Callable[..., Any], runs: Path
) -> None:
    page = visit(runs)
    for name in ("first", "second <b>"):
        page.get_by_label(f"compare {name}").check()
    page.wait_for_selector("#compared")
    line = page.locator("#compared tbody tr").first.locator("td").all_inner_texts()
    assert "0.13 [0.00, 0.25]" in line or "0.12 [0.00, 0.25]" in line
    assert page.locator(".grid .js-plotly-plot").count() == 5
    again = visit(runs, page.evaluate("location.hash"))
    again.wait_for_selector("#compared")
    assert again.locator("#compared th[scope=col]").count() == 3
    again.get_by_label("compare first").uncheck()
    again.wait_for_function("document.querySelectorAll('#compared th[scope=col]').length == 2")


def test_the_link_of_a_run_opens_its_page(visit: Callable[..., Any], runs: Path) -> None:
    page = visit(runs)
    page.get_by_role("link", name="second <b>").click()
    page.wait_for_selector("table.items")
    assert "know when it is wrong" in page.title()


def test_no_violation_of_accessibility_is_found(visit: Callable[..., Any], runs: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(runs)
    page.get_by_label("compare first").check()
    page.wait_for_selector("#compared")
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
