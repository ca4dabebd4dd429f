from __future__ import annotations

import io
import time

from rich.console import Console

from workbench import progress
from workbench.cli.progress_lines import Lines, clock
from workbench.cli.terminal import bars


def log() -> Console:
    return Console(file=io.StringIO(), width=40)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_stage_and_its_loop_write_their_beginning_their_state_and_their_end() -> None:
    console, now = log(), Clock()
    lines = Lines(console, now=now)
    lines.begin_stage("answer")
    lines.tell()
    task = lines.start("answering", 580)
    now.time += 30
    lines.advance(task, 100)
    lines.advance(task, 45)
    lines.tell()
    now.time += 60.4
    lines.advance(task, 435)
    lines.finish(task)
    lines.end_stage("answer", 91.26, True)
    assert text(console).splitlines() == [
        "answer: begun",
        "  answer: still at it after 0:00:00",
        "  answering: 0 of 580",
        "  answering: 145 of 580 after 0:00:30, 0:01:30 left",
        "  answering: 580 of 580 in 0:01:30",
        "answer: done in 91.3 s",
    ]


def test_an_unknown_total_has_no_time_left_and_a_failed_stage_says_so() -> None:
    console, now = log(), Clock()
    lines = Lines(console, now=now)
    lines.begin_stage("teach")
    task = lines.start("loading a\x1b[2J", None)
    now.time += 3700
    lines.tell()
    lines.finish(task)
    lines.finish(task)
    lines.end_stage("teach", 3700.0, False)
    assert text(console).splitlines() == [
        "teach: begun",
        r"  loading a\x1b[2J: begun",
        r"  loading a\x1b[2J: 0 after 1:01:40",
        r"  loading a\x1b[2J: in 1:01:40",
        "teach: stopped after 3700.0 s",
    ]


def test_long_lines_are_not_broken() -> None:
    console = log()
    Lines(console).begin_stage("x" * 100)
    assert text(console) == "x" * 100 + ": begun\n"


def test_one_long_step_is_told_of_while_it_runs() -> None:
    console = log()
    with (
        Lines(console, interval=0.02) as lines,
        progress.reporting(lines),
        progress.task("one step", 1),
    ):
        deadline = time.monotonic() + 5
        while "after" not in text(console) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "one step: 0 of 1 after 0:00:00" in text(console)
    told = text(console)
    time.sleep(0.06)
    assert text(console) == told


def test_what_is_no_terminal_gets_lines_without_escapes_at_once() -> None:
    console = log()
    with bars(console):
        with progress.stage("answer"):
            assert text(console) == "answer: begun\n"
            list(progress.track(range(3), "answering"))
        assert text(console).splitlines()[1:3] == [
            "  answering: 0 of 3",
            "  answering: 3 of 3 in 0:00:00",
        ]
    assert text(console).splitlines()[-1] == "answer: done in 0.0 s"
    assert "\x1b" not in text(console)


def test_a_dumb_terminal_gets_lines() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    with bars(console):
        list(progress.track(range(3), "answering"))
    assert text(console).splitlines() == ["answering: 0 of 3", "answering: 3 of 3 in 0:00:00"]


def test_a_clock_counts_hours() -> None:
    assert [clock(seconds) for seconds in (-1, 0, 59.6, 3661)] == [
        "0:00:00",
        "0:00:00",
        "0:01:00",
        "1:01:01",
    ]
