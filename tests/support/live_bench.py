"""Serve the live bench to a browser, and fill in its form."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from workbench.live.session import Session

PAIR = ("What is the 12 of a?", "What is the 34 of a?")
PATIENCE = 30


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
