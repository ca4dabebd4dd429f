from __future__ import annotations

import logging
import threading
from functools import partialmethod
from typing import Any, ClassVar

import pytest
from tqdm.std import tqdm

from workbench import progress
from workbench.progress import notice, reporting, task, track
from workbench.progress_bars import Bars, show_progress

pytestmark = pytest.mark.usefixtures("no_bars_afterwards")


class Bar:
    """Writes down what is done to the bars of this kind."""

    events: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, **options: Any) -> None:
        self.name = options["desc"]
        self.events.append(("start", self.name, options["total"]))

    def update(self, amount: float) -> None:
        self.events.append(("update", self.name, amount))

    def close(self) -> None:
        self.events.append(("close", self.name))


def test_each_loop_is_a_bar_that_goes_away() -> None:
    Bar.events.clear()
    with reporting(Bars(Bar)):
        for _ in track([1, 2], "outer"):
            with task("inner") as bar:
                bar.advance(5)
    inner = [("start", "inner", None), ("update", "inner", 5), ("close", "inner")]
    assert Bar.events == [
        ("start", "outer", 2),
        *inner,
        ("update", "outer", 1.0),
        *inner,
        ("update", "outer", 1.0),
        ("close", "outer"),
    ]


def test_bars_are_drawn_from_then_on_in_every_thread_until_they_are_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        for _ in track(range(2), "long work"):
            pass

    work()
    assert capsys.readouterr().err == ""
    show_progress()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    drawn = capsys.readouterr()
    assert "long work: " in drawn.err
    assert drawn.out == ""
    notice("one sentence")
    assert capsys.readouterr().err.strip() == "one sentence"
    show_progress(False)
    work()
    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_where_libraries_bars_are_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tqdm, "__init__", partialmethod(tqdm.__init__, disable=True))
    show_progress()
    assert list(track("ab", "weights")) == ["a", "b"]
    assert "weights: " in capsys.readouterr().err


def test_whoever_asked_for_a_block_goes_before(capsys: pytest.CaptureFixture[str]) -> None:
    Bar.events.clear()
    show_progress()
    with reporting(Bars(Bar)):
        list(progress.track([1], "asked for"))
    assert ("start", "asked for", 1) in Bar.events
    assert "asked for" not in capsys.readouterr().err


def test_notices_that_mean_nothing_are_hidden_as_long_as_bars_are_drawn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("torchao")

    def write() -> list[str]:
        caplog.clear()
        logger.warning("Failed to load a kernel")
        logger.warning("Weights are wrong")
        return caplog.messages

    both = write()
    assert len(both) == 2
    for _ in range(2):  # twice is as once
        show_progress()
        assert write() == ["Weights are wrong"]
    show_progress(False)
    assert write() == both
