"""The widget in a real browser, its messages carried as a notebook carries them: a patch done by
mouse is the library's number, and the frame reaches nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.support.live_bench import PAIR, ask
from workbench.live.session import Session

pytest.importorskip("anywidget")
HOSTILE = "<img src=x onerror=parent.hit=1></script><script>parent.hit=1</script> the 12 of a?"
NOTEBOOK = """<!DOCTYPE html><html lang="en"><head><title>notebook</title></head>
<body><main><h1>A notebook</h1><div id="cell"></div></main><script type="module">
const source = await kernelSource();
const { default: widget } = await import("data:text/javascript;base64," + btoa(source));
const handlers = {};
const traits = JSON.parse(await traitsOf());
const model = { get: (name) => traits[name], set: (name, value) => { traits[name] = value; }, save_changes: () => keepTraits(JSON.stringify(traits)), on: (name, use) => { handlers[name] = use; }, off: (name) => { delete handlers[name]; },
                send: (content) => toKernel(content) };
window.remove = widget.render({ model, el: document.getElementById("cell") });
setInterval(async () => { for (const content of await fromKernel()) if (handlers["msg:custom"]) handlers["msg:custom"](content); }, 30);
</script></body></html>"""


@pytest.fixture
def widgets() -> list[Any]:
    """The widgets that were shown."""
    return []


@pytest.fixture
def notebook(
    browser: Any,
    session: Session,
    widgets: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Any]]:
    """``notebook(state=None, **context)``: a page with a new widget, that asks no network and
    writes no error.
    """
    from workbench.live.widget import LiveWidget

    sent: list[Any] = []
    monkeypatch.setattr(
        LiveWidget, "send", lambda self, content, buffers=None: sent.append(content)
    )
    source = resources.files("workbench.live").joinpath("page", "widget.js").read_text("utf-8")
    file = tmp_path / "notebook.html"
    file.write_text(NOTEBOOK, encoding="utf-8")
    contexts, problems = [], []

    def take() -> list[Any]:
        found = list(sent)
        sent.clear()
        return found

    def open_page(state: Any = None, **options: Any) -> Any:
        widget = wb.live_widget(session.lm, state=state)
        widgets.append(widget)
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda r: (
                None if r.url.startswith(("file:", "data:", "blob:")) else problems.append(r.url)
            ),
        )
        page.expose_function("kernelSource", lambda: source)
        page.expose_function("toKernel", lambda content: widget._handle_custom_msg(content, []))
        page.expose_function("fromKernel", take)
        page.expose_function(
            "traitsOf", lambda: json.dumps({"height": widget.height, "state": widget.state})
        )
        page.expose_function(
            "keepTraits", lambda traits: widget.set_state({"state": json.loads(traits)["state"]})
        )
        page.goto(f"file://{file}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    for widget in widgets:
        widget.close()
    assert problems == []


def test_a_patch_done_by_mouse_is_the_library_s_number(
    notebook: Callable[..., Any], session: Session
) -> None:
    page = notebook()
    frame = page.frame_locator("iframe")
    ask(frame, *PAIR).locator("[data-token='9']").click()
    frame.get_by_text("noise floor").wait_for()
    frame.locator("#curve .js-plotly-plot").wait_for()
    rows = frame.locator("table[data-kind=curve] tbody tr")
    shown = [
        float(cells[2])
        for cells in (row.locator("td").all_text_contents() for row in rows.all())
        if cells[0] == "donor"
    ]
    found = wb.sweep(session.lm, *PAIR, read=("1", "2"), at=9)
    assert shown == pytest.approx(found.patched[0].tolist(), abs=1e-5)
    with page.expect_download() as download:
        frame.locator("#curve").get_by_role("button", name="CSV").click()
    assert Path(download.value.path()).read_text().startswith("condition,layer,reading")


def test_what_is_looked_at_is_kept_by_the_widget_and_begins_another(
    notebook: Callable[..., Any], widgets: list[Any]
) -> None:
    page = notebook()
    frame = page.frame_locator("iframe")
    ask(frame, *PAIR).locator("[data-token='9']").click()
    frame.get_by_text("noise floor").wait_for()
    frame.get_by_label("layer", exact=True).fill("2")
    frame.get_by_role("button", name="Along the difference").click()
    frame.locator("#figure-slider .scatterlayer").wait_for()
    frame.get_by_label("length", exact=True).fill("7")
    shown = frame.get_by_text("Length 1: readout").text_content()
    page.close()
    state = dict(widgets[0].state)
    assert state["range"] == [9, 9]
    assert state["base"]["text"] == PAIR[0]
    assert state["opened"]["layer"] == 2
    assert state["opened"]["length"] == 1
    again = notebook(json.loads(json.dumps(state))).frame_locator("iframe")
    again.get_by_text("Length 1: readout").wait_for()
    assert again.get_by_text("Length 1: readout").text_content() == shown
    assert again.locator("#curve").count() == 1
    assert again.get_by_label("patched text").input_value() == PAIR[0]


def test_hostile_text_is_inert_and_the_frame_is_alone(notebook: Callable[..., Any]) -> None:
    page = notebook()
    frame = page.frame_locator("iframe")
    words = ask(frame, HOSTILE, HOSTILE.replace("12", "34"))
    assert "<img" in words.text_content()
    words.locator("[data-token]").last.click()
    frame.get_by_text("noise floor").wait_for()
    assert frame.locator("img").count() == 0
    assert page.evaluate("window.hit") is None
    inside = next(each for each in page.frames if each is not page.main_frame)
    assert inside.evaluate("origin") == "null"
    blocked = "try { String(parent.document.title) } catch (error) { error.name }"
    assert inside.evaluate(blocked) == "SecurityError"


def test_no_violation_of_accessibility_is_found(notebook: Callable[..., Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = notebook()
    frame = page.frame_locator("iframe")
    ask(frame, *PAIR).locator("[data-token]").last.click()
    frame.get_by_text("noise floor").wait_for()
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
