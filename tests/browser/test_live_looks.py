"""What the live bench looks like in the dark and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.live_bench import ask

Visit = Callable[..., Any]
LONG = "What is the 12 of a? " * 30


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_larger_effect_stands_out_more_from_the_ground(visit_bench: Visit, theme: str) -> None:
    page = visit_bench(color_scheme=theme)
    shades = [
        sum(weight * int(colour[at : at + 2], 16) for weight, at in ((0.3, 1), (0.6, 3), (0.1, 5)))
        for _, colour in page.evaluate("EFFECTS[painted]")
    ]
    from_ground = [abs(shade - shades[2]) for shade in shades]
    assert from_ground[0] > from_ground[1] + 30 > 60
    assert from_ground[4] > from_ground[3] + 30 > 60


def test_a_phone_scrolls_to_the_chosen_token_and_sees_the_whole_figure(visit_bench: Visit) -> None:
    page = visit_bench(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True)
    words = ask(page, LONG + "12", LONG + "34")
    assert words.evaluate("(at) => at.scrollHeight > at.clientHeight")
    assert words.evaluate("(at) => getComputedStyle(at).touchAction") == "pan-y"
    words.locator("[data-token]").last.tap()
    page.wait_for_selector("#curve .js-plotly-plot")
    page.reload()
    page.wait_for_selector("#curve .js-plotly-plot")
    inside = """(at) => { const box = at.closest(".words").getBoundingClientRect(), own = at.getBoundingClientRect();
      return own.top >= box.top - 1 && own.bottom <= box.bottom + 1; }"""
    assert words.locator("[data-token]").last.evaluate(inside)
    assert page.locator(".words .partner").evaluate(inside)
    assert page.locator("#curve .modebar-btn").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
