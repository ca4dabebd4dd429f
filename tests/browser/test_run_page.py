"""The page of a finished run in a real browser: drawn, sorted, filtered, opened, linked to, reached
by keyboard alone, in the dark, on a phone, and printed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.loop import open_run
from workbench.loop.results import loop_results

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def run_page(finished_run: Any) -> Path:
    return Path(finished_run.figures / "index.html")


def cells(page: Any, column: int) -> list[str]:
    texts = page.locator(f"table.items tbody tr td:nth-child({column})").all_inner_texts()
    return [str(text).strip() for text in texts]


def column_of(page: Any, name: str) -> int:
    heads = [
        head.split(" ▴")[0].split(" ▾")[0]
        for head in page.locator("table.items th").all_inner_texts()
    ]
    return heads.index(name) + 1


def test_every_figure_is_drawn_when_it_comes_into_sight(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    wanted = page.locator(".plot").count()
    assert wanted >= 8
    drawn = page.locator(".plot.js-plotly-plot")
    assert drawn.count() < wanted
    for at in range(wanted):
        page.locator(".plot").nth(at).scroll_into_view_if_needed()
    page.wait_for_function(f"document.querySelectorAll('.plot.js-plotly-plot').length == {wanted}")


def test_the_table_sorts_filters_and_searches(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    at = column_of(page, "expected before %")
    for arrow in ("ascending", "descending"):
        page.get_by_role("button", name="expected before %").click()
        page.wait_for_selector(f"table.items th[aria-sort={arrow}]")
        values = [float(value) for value in cells(page, at)]
        assert values == sorted(values, reverse=arrow == "descending")
    page.get_by_label("right", exact=True).select_option("wrong")
    assert set(cells(page, column_of(page, "right"))) == {"wrong"}
    word = cells(page, 1)[0].split()[-1].strip("?")
    page.get_by_label("Search").fill(word)
    assert all(word.lower() in text.lower() for text in cells(page, 1))
    page.get_by_role("button", name="Show all").click()
    assert set(cells(page, column_of(page, "right"))) == {"right", "wrong"}


def test_a_link_leads_to_the_same_view(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    page.get_by_label("right", exact=True).select_option("right")
    page.get_by_role("button", name="probe %").click()
    page.locator(".opener").nth(1).click()
    heading = page.locator("#opened h3").inner_text()
    address = page.evaluate("location.hash")
    again = visit(run_page, address)
    again.wait_for_selector("#opened")
    assert again.locator("#opened h3").inner_text() == heading
    assert cells(again, 1) == cells(page, 1)
    assert set(cells(again, column_of(again, "right"))) >= {"right"}


def test_an_opened_question_shows_its_tokens_and_curves(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    page.locator(".opener").first.click()
    page.wait_for_selector("#opened .js-plotly-plot")
    assert page.locator("#opened .token.mark").count() >= 1
    assert page.locator("#opened figure").count() >= 2
    focused = page.evaluate("document.activeElement.tagName")
    assert focused == "H3"
    page.get_by_role("button", name="Close").click()
    assert page.locator("#opened").count() == 0


def test_colours_are_the_attribution_in_signs_and_words(
    visit: Visit, run_page: Path, finished_run: Any
) -> None:
    """Blue where a score is above zero, orange below, none where it is switched off; the numbers
    stand in the table.
    """
    context = open_run(finished_run.folder, finished_run.figures)
    stage = context.stage("attribute")
    scores = 100 * stage.tensors("attribution")["taught"]
    coloured = stage.table("attributed")["row"].tolist()
    rows = loop_results(context).readouts.questions["row"].tolist()
    at = rows.index(coloured[0])
    page = visit(run_page, f"#questions?open={at}")
    page.wait_for_selector("#opened .js-plotly-plot")
    tokens = page.locator("#opened .token")
    assert tokens.first.get_attribute("style") in (None, "")
    page.get_by_label("taught model").check()
    page.wait_for_selector("#opened .key")
    shown = scores[0][np.isfinite(scores[0])]
    styles = [each.get_attribute("style") or "" for each in tokens.all()]
    assert len(styles) == len(shown)
    wanted = ["--lowers" if value < 0 else "--raises" for value in shown]
    assert all(name in style for name, style in zip(wanted, styles, strict=True))
    page.get_by_text("The colours' numbers").click()
    cells = page.locator("#opened details.numbers tbody tr td:nth-child(4)").all_inner_texts()
    assert [float(cell) for cell in cells] == pytest.approx(shown.tolist(), abs=0.0101)
    strongest = int(np.abs(shown).argmax())
    assert f"(token {strongest})" in page.locator("#opened").inner_text()
    others = [place for place, row in enumerate(rows) if row not in coloured]
    other = visit(run_page, f"#questions?open={others[0]}")
    other.get_by_text("not for this one").wait_for()
    assert other.locator("#opened fieldset").count() == 0


def test_the_keyboard_alone_reaches_and_opens_everything(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    reached, unseen = set(), []
    for _ in range(200):
        page.keyboard.press("Tab")
        name, width = page.evaluate(
            "(at => [(at.textContent || at.tagName).trim(), parseFloat(getComputedStyle(at).outlineWidth)])"
            "(document.activeElement)"
        )
        reached.add(name)
        if width < 2:
            unseen.append(name)
        if page.evaluate("document.activeElement.className") == "opener":
            break
    assert unseen == []
    assert {"To the page", "Dark", "Save as picture", "Show all"} <= reached
    page.keyboard.press("Enter")
    page.wait_for_selector("#opened")


def test_dark_and_light_are_chosen_by_system_and_button(visit: Visit, run_page: Path) -> None:
    page = visit(run_page, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 21, 23)"
    page.wait_for_selector(".plot.js-plotly-plot")
    paper = "document.querySelector('.plot.js-plotly-plot').layout.paper_bgcolor"
    assert page.evaluate(paper) == "#1d1e20"
    page.locator(".opener").first.click()
    page.wait_for_selector("#opened .js-plotly-plot")
    opened = "document.querySelector('#opened .js-plotly-plot').layout.paper_bgcolor"
    assert page.evaluate(opened) == "#1d1e20"
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(ground) == "rgb(246, 246, 244)"
    assert page.evaluate(paper) == "#ffffff"
    page.wait_for_function(f"{opened} == '#ffffff'")


def test_a_phone_shows_the_page_without_scrolling_sideways(visit: Visit, run_page: Path) -> None:
    page = visit(run_page, viewport={"width": 390, "height": 800}, is_mobile=True)
    page.wait_for_selector("table.items")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    page.wait_for_selector(".plot.js-plotly-plot")
    assert plot.evaluate("(at) => [at._fullLayout.width >= 500, at.parentElement.tabIndex]") == [
        True,
        0,
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_printing_draws_every_figure_on_light_ground(visit: Visit, run_page: Path) -> None:
    page = visit(run_page, color_scheme="dark")
    page.wait_for_selector("table.items")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".plot:not(.js-plotly-plot)").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    widths = "Array.from(document.querySelectorAll('.plot.js-plotly-plot'), (p) => p.layout.width || p.offsetWidth)"
    assert max(page.evaluate(widths)) <= 690
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 718, "height": 1000})
    over = "Array.from(document.querySelectorAll('.lead .scroll, #questions .scroll'), (each) => each.scrollWidth - each.clientWidth)"
    assert max(page.evaluate(over)) <= 1
    ends = "Array.from(document.querySelectorAll('.plot'), (each) => each.querySelector('.main-svg').getBoundingClientRect().right)"
    assert max(page.evaluate(ends)) <= 718
    assert page.locator(".opener").first.is_visible()
    assert not page.get_by_role("button", name="Show all").is_visible()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 1280, "height": 720})
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"Math.max(...{widths}) > 690")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_card_is_saved_as_a_picture(visit: Visit, run_page: Path) -> None:
    page = visit(run_page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as picture").click()
    content = Path(waiting.value.path()).read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (2400, 1260)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_violation_of_accessibility_is_found(visit: Visit, run_page: Path, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(run_page, color_scheme=theme)
    page.locator(".opener").first.click()
    page.wait_for_selector("#opened .js-plotly-plot")
    if page.locator("#opened fieldset").count():
        page.locator("#opened input[type=radio]").last.check()
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
