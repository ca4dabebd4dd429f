"""The live bench by keyboard alone, from the address bar on: every view is reached, what has the
focus can be seen, and nothing holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.support.live_bench import PAIR, cells
from workbench.live.session import Session

Visit = Callable[..., Any]
MOST_STOPS = 80
FOCUSED = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), look = getComputedStyle(at);
  return { name: (at.getAttribute("aria-label") || at.textContent || at.tagName).trim().slice(0, 60), tag: at.tagName,
           outlined: look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2,
           seen: box.width > 4 && box.height > 4 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth };
}"""
# What a person could use by mouse: all of it must be a stop of the tab key, but tokens, of which one is.
USED = """() => Array.from(document.querySelectorAll("a[href], button, input, select, textarea, summary, pre[tabindex]"))
  .filter((each) => each.checkVisibility() && !each.closest(".words") && !each.disabled && !each.closest(".js-plotly-plot"))
  .map((each) => (each.getAttribute("aria-label") || each.textContent || each.tagName).trim().slice(0, 60))"""


def stops(page: Any) -> list[dict[str, Any]]:
    """What the tab key reaches from the address bar until it leaves the page again."""
    page.evaluate("() => { document.activeElement.blur(); getSelection().removeAllRanges(); }")
    page.evaluate(
        "document.body.prepend(Object.assign(document.createElement('span'), {id: 'bar', tabIndex: -1}))"
    )
    page.evaluate("document.getElementById('bar').focus()")
    page.evaluate("document.getElementById('bar').remove()")
    found = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            return found
        found.append(page.evaluate(FOCUSED))
    raise AssertionError(f"the tab key does not leave the page: {found[-3:]}")


def tab_to(page: Any, name: str, *, key: str = "Tab") -> None:
    """Press the tab key until what is called ``name`` has the focus."""
    for _ in range(MOST_STOPS):
        page.keyboard.press(key)
        at = page.evaluate(FOCUSED)
        if at["name"] == name:
            assert at["outlined"], at
            assert at["seen"], at
            return
    raise AssertionError(f"the tab key does not reach {name!r}")


def tab_to_token(page: Any, index: int) -> None:
    """Reach the tokens of the patched run by the tab key, and one of them by arrows."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if page.evaluate("Boolean(document.activeElement.closest('.words [aria-pressed]'))"):
            break
    page.keyboard.press("Home")
    for _ in range(index):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.token") == str(index)
    assert page.evaluate(FOCUSED)["outlined"]


def fill_in(page: Any) -> None:
    """Fill in both texts and what is read, and show the tokens, by keys."""
    for name, text in zip(("patched text", "donor text"), PAIR, strict=True):
        tab_to(page, name)
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
    tab_to(page, "readout")
    for text in "12":
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.get_by_label("Tokens of the patched run").wait_for()


def test_effects_a_grid_a_direction_a_text_and_exports_by_keys(
    visit_bench: Visit, session: Session
) -> None:
    page = visit_bench()
    fill_in(page)
    tab_to_token(page, 9)
    page.keyboard.press("Enter")
    page.get_by_text("noise floor").wait_for()
    shown = [float(row[2]) for row in cells(page, "curve") if row[0] == "donor"]
    found = wb.sweep(session.lm, PAIR[0], PAIR[1], read=("1", "2"), at=9)
    assert shown == pytest.approx(found.patched[0].tolist(), abs=1e-5)

    tab_to(page, "CSV")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).read_text().startswith("condition,layer,reading")
    tab_to(page, "Python")
    page.keyboard.press("Enter")
    assert page.locator("#curve pre.code").is_visible()

    tab_to(page, "layer")
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    tab_to(page, "Distribution")
    page.keyboard.press("Enter")
    page.wait_for_selector("#figure-outcome .bars")
    tab_to(page, "Along the difference", key="Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#figure-slider .scatterlayer")
    tab_to(page, "length")
    page.keyboard.press("End")
    page.get_by_text("Length 4: readout").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "4"
    tab_to(page, "Generate so")
    page.keyboard.press("Enter")
    page.wait_for_selector("#after-text")


def test_heads_of_a_range_are_filled_and_one_is_opened_by_keys(visit_bench: Visit) -> None:
    """What a click on a cell opens, a select of the token and one of the head open too."""
    page = visit_bench()
    fill_in(page)
    tab_to(page, "grid over", key="Shift+Tab")
    page.keyboard.press("ArrowDown")
    tab_to_token(page, 8)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#share", has_text=re.compile("^100$")).wait_for()
    tab_to(page, "token")
    page.keyboard.press("ArrowUp")
    tab_to(page, "head")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Distribution")
    page.keyboard.press("Enter")
    page.get_by_text("Layer 0, token 9, head 1: readout").wait_for()
    tab_to(page, "Show tokens", key="Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("#grid").wait_for(state="detached")
    tab_to(page, "resid_post at 8 to 10, heads")
    page.keyboard.press("Enter")
    page.wait_for_selector("#grid .js-plotly-plot")
    assert page.evaluate(FOCUSED)["name"] == "resid_post at 8 to 10, heads"


def test_a_view_under_way_is_stopped_by_keys(visit_bench: Visit) -> None:
    page = visit_bench()
    fill_in(page)
    page.route("**/view", lambda route: None)
    tab_to_token(page, 9)
    page.keyboard.press("Enter")
    page.get_by_text("Patching every layer.").wait_for()
    tab_to(page, "Stop")
    with page.expect_event("requestfailed") as ended:
        page.keyboard.press("Enter")
    assert ended.value.failure == "net::ERR_ABORTED"
    page.get_by_text("Stopped; what was read").wait_for()
    page.unroute("**/view")


def test_a_token_without_a_partner_is_reached_and_says_so(visit_bench: Visit) -> None:
    """The donor ends where the patched text goes on, so the last token has none."""
    page = visit_bench()
    tab_to(page, "patched text")
    page.keyboard.press("Control+A")
    page.keyboard.type("What is the 12 of a")
    tab_to(page, "donor text")
    page.keyboard.press("Control+A")
    page.keyboard.type("What is the 12")
    tab_to(page, "readout")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_label("Tokens of the patched run").wait_for()
    tab_to_token(page, 0)
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "partner" in page.get_by_role("alert").text_content()


def test_every_control_is_a_stop_that_can_be_seen(visit_bench: Visit) -> None:
    page = visit_bench()
    fill_in(page)
    tab_to_token(page, 9)
    page.keyboard.press("Enter")
    page.get_by_text("noise floor").wait_for()
    page.get_by_role("button", name="Distribution").press("Enter")
    page.wait_for_selector("#figure-outcome .bars")
    page.get_by_role("button", name="Along the difference").press("Enter")
    page.wait_for_selector("#figure-slider .scatterlayer")
    page.get_by_role("button", name="Generate under the patch").press("Enter")
    page.wait_for_selector("#after-text")
    reached = stops(page)
    assert [each for each in reached if not (each["outlined"] and each["seen"])] == []
    names = [each["name"] for each in reached]
    assert sorted(set(page.evaluate(USED)) - set(names)) == []
    assert sum("Tokens of the" in name for name in names) == 1
    address = page.evaluate("location.hash")
    page.reload()
    page.wait_for_selector("#after-text")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == address
    assert page.evaluate("document.activeElement.id") == "main"
