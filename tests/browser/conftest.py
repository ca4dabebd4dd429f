"""A Chromium for pages: the one that is installed, never one that is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_bench import PATIENCE, serving
from workbench.live.session import Session
from workbench.loading import load_model

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser; tests are skipped where none is installed. Its driver runs an event loop in this
    thread, so it ends before tests that must have none.
    """
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """``visit(path, fragment="", **context)``: the page of a file, which may not ask the network
    for anything, and must write no error to the console.
    """
    contexts, problems = [], []

    def open_page(path: Path, fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda r: problems.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
        )
        page.goto(f"file://{path}{fragment}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture(scope="module")
def session(tiny_folder: Path) -> Session:
    """What a live bench of a model alone shows."""
    return Session("tiny", load_model(str(tiny_folder), device="cpu"))


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
