"""The live bench in a real browser: a patch done by mouse is the library's number."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.live.requests import ScaleRead
from workbench.live.session import Session, open_session
from workbench.loading import load_model

HOSTILE = "<img src=x onerror=alert(1)> is the 12 of a?"
PAIR = ("What is the 12 of a?", "What is the 34 of a?")
PATIENCE = 30
OWN_SCALE = ScaleRead(kind="scale")


@pytest.fixture(scope="module")
def session(tiny_folder: Path) -> Session:
    return Session("tiny", load_model(str(tiny_folder), device="cpu"))


@contextmanager
def serving(session: Session) -> Iterator[str]:
    """The address of a live bench that runs inside the block."""
    uvicorn = pytest.importorskip("uvicorn")
    from workbench.live.guard import new_address
    from workbench.live.serve import bind
    from workbench.live.server import make_app
    from workbench.live.worker import Worker

    bound, worker = bind(0), Worker()
    address = new_address(bound.getsockname()[1])
    config = uvicorn.Config(
        make_app(session, worker, address), log_level="warning", timeout_graceful_shutdown=1
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield address.url
    running.should_exit = True
    thread.join()
    worker.close()
    bound.close()


@pytest.fixture(scope="module")
def bench(session: Session) -> Iterator[str]:
    """The address of a live bench of the model alone."""
    with serving(session) as address:
        yield address


@pytest.fixture
def visit_bench(browser: Any, bench: str) -> Iterator[Callable[..., Any]]:
    """``visit_bench(fragment="", **context)``: the page, which asks nobody else, and writes no
    error to the console.
    """
    contexts, problems = [], []

    def open_page(fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append("a dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda r: (
                None if r.url.startswith((bench, "data:", "blob:")) else problems.append(r.url)
            ),
        )
        page.goto(bench + fragment)
        page.wait_for_selector("form")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def ask(page: Any, base: str = PAIR[0], donor: str = PAIR[1]) -> Any:
    """Fill in both texts and what is read, and wait for the tokens."""
    page.get_by_label("patched text").fill(base)
    page.get_by_label("donor text").fill(donor)
    page.get_by_label("first", exact=True).fill("1")
    page.get_by_label("minus", exact=True).fill("2")
    page.get_by_role("button", name="Show tokens").click()
    words = page.get_by_label("Tokens of the patched run")
    words.wait_for()
    return words


def cells(page: Any, kind: str) -> list[list[str]]:
    """The numbers of a view's table."""
    rows = page.locator(f"table[data-kind={kind}] tbody tr")
    return [row.locator("td").all_text_contents() for row in rows.all()]


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
        words.locator("[data-token]").last.click()
        page.get_by_text("noise floor").wait_for()
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
