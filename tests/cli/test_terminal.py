from __future__ import annotations

import io
import logging
import warnings

import pytest
from rich.console import Console

from workbench import progress
from workbench.cli.terminal import bars, show_summary


def terminal(width: int = 100) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        color_system=None,
        _environ={"TERM": "xterm"},
    )


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_show_what_is_tracked_with_time_left() -> None:
    console = terminal()
    with bars(console):
        list(progress.track(range(3), "answering"))
    last = [line for line in text(console).splitlines() if "answering" in line][-1]
    assert "3/3" in last
    assert "0:00:00 left" in last


def test_an_unknown_total_and_an_interruption_leave_the_terminal_whole() -> None:
    console = terminal()
    try:
        with bars(console), progress.task("downloading", None) as handle:
            handle.advance(7)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert "downloading" in text(console)
    assert text(console).count("\x1b[?25l") == text(console).count("\x1b[?25h") == 1
    assert list(progress.track([1], "afterwards")) == [1]


def test_notices_about_future_versions_are_hidden_and_warnings_are_not() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with bars(terminal()):
            warnings.warn("renamed in version 6", FutureWarning, stacklevel=1)
            warnings.warn("the disk is nearly full", UserWarning, stacklevel=1)
        warnings.warn("afterwards", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["the disk is nearly full", "afterwards"]


def test_the_trainers_notice_about_its_checkpoints_is_hidden(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("transformers.trainer_utils")
    caplog.set_level(logging.WARNING, logger=logger.name)
    logger.addHandler(caplog.handler)
    notice = "mtime may not be reliable on this filesystem, falling back to numerical ordering"
    with bars(terminal()):
        logger.warning(notice)
        logger.warning("something else")
    logger.warning(notice)
    logger.removeHandler(caplog.handler)
    assert list(dict.fromkeys(caplog.messages)) == ["something else", notice]
    assert logger.filters == []


def test_descriptions_are_text() -> None:
    console = terminal()
    with bars(console):
        list(progress.track([1], "loading [red]a\x1b[2J"))
    assert r"loading [red]a\x1b[2J" in text(console)


def test_a_summary_is_a_table_with_units_and_intervals() -> None:
    console = terminal()
    show_summary(
        console,
        {
            "auroc2.stated.before": 0.5512,
            "auroc2.stated.before.low": 0.5,
            "auroc2.stated.before.high": 0.6,
            "auroc2.stated.after": None,
            "seconds.total": 12.34,
            "memory.peak_bytes": 2_500_000_000,
            "model.name": "[red]a/model[/red]",
        },
    )
    lines = [line.split() for line in text(console).splitlines()]
    assert ["stated", "·", "before", "0.551", "0.500", "to", "0.600"] in lines
    assert ["stated", "·", "after", "not", "defined"] in lines
    assert ["total", "12.3", "s"] in lines
    assert ["peak", "2.50", "GB"] in lines
    assert ["name", "[red]a/model[/red]"] in lines
