"""The live bench in a real browser: a patch done by mouse is the library's number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import workbench as wb
from tests.support.live_bench import PAIR, PATIENCE, ask, cells, serving
from workbench.live.requests import ScaleRead
from workbench.live.session import Session, open_session

HOSTILE = "<img src=x onerror=alert(1)> is the 12 of a?"
OWN_SCALE = ScaleRead(kind="scale")


def test_a_patch_done_by_mouse_is_the_library_s_number(
    visit_bench: Callable[..., Any], session: Session
) -> None:
    page = visit_bench()
    words = ask(page)
    words.locator("[data-token='9']").click()
    page.wait_for_selector("#curve .js-plotly-plot")
    page.get_by_text("noise floor").wait_for()
    shown = [float(row[2]) for row in cells(page, "curve") if row[0] == "donor"]
    found = wb.sweep(session.lm, PAIR[0], PAIR[1], read=("1", "2"), at=9)
    assert shown == pytest.approx(found.patched[0].tolist(), abs=1e-5)
    names: dict[str, Any] = {}
    exec(page.locator("#curve pre.code").text_content(), names)
    assert names["value"] == pytest.approx(shown, abs=1e-5)


def test_a_patch_of_a_whole_run_by_mouse_is_the_library_s_number(
    browser: Any, finished_run: Any
) -> None:
    """The question a run opens with, base against tuned model, read on the run's own scale."""
    folder = finished_run.folder
    with (
        open_session(
            folder.name, folder.parent, finished_run.figures.parent, device="cpu"
        ) as opened,
        serving(opened) as address,
    ):
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        words = page.get_by_label("Tokens of the patched run")
        words.wait_for()
        words.locator("[data-token]").last.click()
        page.get_by_text("noise floor").wait_for()
        shown = [float(row[2]) for row in cells(page, "curve") if row[0] == "donor"]
        page.get_by_label("layer", exact=True).fill("3")
        page.get_by_role("button", name="Along the probe").click()
        page.wait_for_selector("#figure-slider .scatterlayer")
        context.close()
        tokens = list(opened.conversations[0].tokens)
        found = wb.sweep(opened.lm, tokens, opened.tuned, read=opened.readout(OWN_SCALE))
    assert shown == pytest.approx(found.patched[0].tolist(), abs=1e-5)
    assert max(shown) - min(shown) > 1e-4


def test_a_dragged_range_fills_with_true_patches(
    visit_bench: Callable[..., Any], session: Session
) -> None:
    page = visit_bench()
    words = ask(page)
    words.locator("[data-token='8']").hover()
    page.mouse.down()
    words.locator("[data-token='9']").hover()
    words.locator("[data-token='10']").hover()
    page.mouse.up()
    page.locator("#share", has_text=re.compile("^100$")).wait_for()
    page.locator("#grid pre.code").wait_for(state="attached")
    shown = [float(row[3]) for row in cells(page, "grid")]
    found = wb.patch_map(
        session.lm, PAIR[0], PAIR[1], read=("1", "2"), at=[8, 9, 10], controls=False
    )
    assert shown == pytest.approx((found.patched[0] - found.base[0]).ravel().tolist(), abs=1e-5)
    assert page.locator("#grid .js-plotly-plot").count() == 1


def test_keys_alone_choose_a_range_and_a_link_leads_back(visit_bench: Callable[..., Any]) -> None:
    page = visit_bench()
    words = ask(page)
    words.locator("[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    page.locator("#share", has_text=re.compile("^100$")).wait_for()
    assert words.locator("[aria-pressed='true']").count() == 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_selector("#curve .js-plotly-plot")
    assert page.locator("#history button").count() == 2
    again = visit_bench(page.evaluate("location.hash"))
    again.wait_for_selector("#curve .js-plotly-plot")
    page.locator("#history button").last.click()
    page.locator("#share", has_text=re.compile("^100$")).wait_for()


def test_a_link_leads_back_to_the_change_that_was_opened(visit_bench: Callable[..., Any]) -> None:
    page = visit_bench()
    page.get_by_label("component").select_option("attn_out")
    words = ask(page)
    words.locator("[data-token='9']").click()
    page.get_by_text("noise floor").wait_for()
    page.get_by_label("layer", exact=True).fill("2")
    page.get_by_role("button", name="Distribution").click()
    page.wait_for_selector("#figure-outcome .bars")
    swapped = page.locator("#after").text_content()
    page.reload()
    page.wait_for_selector("#figure-outcome .bars")
    assert page.locator("#after").text_content() == swapped
    assert page.get_by_label("component").input_value() == "attn_out"
    assert page.get_by_label("layer", exact=True).input_value() == "2"
    assert page.get_by_label("patched text").input_value() == PAIR[0]
    chosen = page.get_by_label("Tokens of the patched run").locator("[aria-pressed='true']")
    assert chosen.get_attribute("data-token") == "9"
    page.go_back()
    page.locator("#change").wait_for(state="detached")
    page.get_by_label("Tokens of the patched run").wait_for()


@pytest.mark.parametrize(
    "state",
    ['{"base":null}', '{"base":{"kind":"text"}}', '{"range":[1]}', '{"opened":{}}', "{", "[]"],
)
def test_a_link_that_was_cut_short_shows_the_page(
    visit_bench: Callable[..., Any], state: str
) -> None:
    page = visit_bench("#view=" + quote(state))
    page.get_by_label("Tokens of the patched run").wait_for()
    assert page.get_by_role("heading", name="Live bench").count() == 1


def test_distribution_direction_and_generation(
    visit_bench: Callable[..., Any], session: Session
) -> None:
    page = visit_bench()
    words = ask(page)
    words.locator("[data-token]").last.click()
    page.get_by_label("layer", exact=True).fill("2")
    page.get_by_role("button", name="Distribution").click()
    page.wait_for_selector("#figure-outcome .bars")
    swapped = float(page.locator("#after").text_content())
    page.get_by_role("button", name="Along the difference").click()
    page.wait_for_selector("#figure-slider .scatterlayer")
    page.get_by_label("length", exact=True).fill("7")
    page.get_by_text("Length 1: readout").wait_for()
    along = {float(row[0]): float(row[1]) for row in cells(page, "slider")}
    assert along[1.0] == pytest.approx(swapped, rel=1e-3)
    page.get_by_role("button", name="Generate under the patch").click()
    code = page.locator("#change pre.code", has_text="generate_patched")
    code.wait_for(state="attached")
    names: dict[str, Any] = {}
    exec(code.text_content(), names)
    assert page.locator("#after-text").text_content() == session.lm.tokenizer.decode(names["value"])


def test_exports_are_the_view_s_numbers_and_code(
    visit_bench: Callable[..., Any], tmp_path: Path
) -> None:
    page = visit_bench()
    ask(page).locator("[data-token='9']").click()
    page.get_by_text("noise floor").wait_for()
    for button, ending in (("CSV", "csv"), ("Notebook", "ipynb"), ("PNG", "png")):
        with page.expect_download() as download:
            page.locator("#curve").get_by_role("button", name=button, exact=True).click()
        download.value.save_as(tmp_path / f"curve.{ending}")
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "condition,layer,reading"
    assert len(lines) == 1 + len(cells(page, "curve"))
    (cell,) = json.loads((tmp_path / "curve.ipynb").read_text())["cells"]
    assert "wb.sweep(" in "".join(cell["source"])
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_hostile_text_is_inert_and_a_mistake_is_said(visit_bench: Callable[..., Any]) -> None:
    page = visit_bench()
    words = ask(page, HOSTILE, HOSTILE.replace("12", "34"))
    assert "<img" in words.text_content()
    words.locator("[data-token]").last.click()
    page.get_by_text("noise floor").wait_for()
    page.get_by_role("button", name="Distribution").click()
    page.wait_for_selector("#figure-outcome .bars")
    assert page.locator("img").count() == 0
    ask_again = page.get_by_label("first", exact=True)
    ask_again.fill("12")
    words = page.get_by_label("Tokens of the patched run")
    words.locator("[data-token]").last.click()
    page.get_by_role("alert").wait_for()
    assert "2 tokens" in page.get_by_role("alert").text_content()


def test_no_violation_of_accessibility_is_found(visit_bench: Callable[..., Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme in ("light", "dark"):
        page = visit_bench(color_scheme=scheme)
        words = ask(page)
        page.get_by_label("grid over").select_option("head")
        words.locator("[data-token]").last.click()
        page.get_by_text("noise floor").wait_for()
        page.locator("#share", has_text=re.compile("^100$")).wait_for()
        page.get_by_role("button", name="Distribution").click()
        page.wait_for_selector("#figure-outcome .bars")
        page.get_by_role("button", name="Along the difference").click()
        page.wait_for_selector("#figure-slider .scatterlayer")
        page.get_by_role("button", name="Generate under the patch").click()
        page.wait_for_selector("#after-text")
        for details in page.locator("details").all():
            details.evaluate("(each) => { each.open = true; }")
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
