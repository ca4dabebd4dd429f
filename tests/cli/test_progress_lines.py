from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_of_loops_inside_a_loop_only_the_long_ones_have_a_line() -> None:
    console, now = log(), Clock()
    lines = Lines(console, now=now)
    outer = lines.start("judging", 2)
    for seconds in (4.9, 5.0):
        inner = lines.start("fitting", 3)
        lines.advance(inner, 3)
        now.time += seconds
        lines.finish(inner)
        lines.advance(outer, 1)
    lines.finish(outer)
    after = lines.start("fitting", 3)
    lines.finish(after)
    assert text(console).splitlines() == [
        "judging: 0 of 2",
        "fitting: 3 of 3 in 0:00:05",
        "judging: 2 of 2 in 0:00:10",
        "fitting: 0 of 3",
        "fitting: 0 of 3 in 0:00:00",
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


def test_a_long_silent_step_is_told_of_every_half_minute_inside_and_outside_of_stages() -> None:
    """The clock moves by the interval at each wait: a minute before any stage, a minute in a stage
    without a loop (fitting, a pass in another precision), then a loop that does not move.
    """
    console, now = log(), Clock()
    steps = iter(
        [
            lambda lines: None,
            lambda lines: None,
            lambda lines: lines.begin_stage("probe"),
            lambda lines: None,
            lambda lines: None,
            lambda lines: lines.start("loading", None),
        ]
    )

    def wait(seconds: float) -> bool:
        assert seconds == 30
        now.time += seconds
        step = next(steps, None)
        if step is not None:
            step(lines)
        return step is None

    lines = Lines(console, now=now, wait=wait)
    with lines:
        deadline = time.monotonic() + 5
        while text(console).count("\n") < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert text(console).splitlines() == [
        "at work: still at it after 0:00:30",
        "at work: still at it after 0:01:00",
        "probe: begun",
        "  probe: still at it after 0:00:00",
        "  probe: still at it after 0:00:30",
        "  probe: still at it after 0:01:00",
        "  loading: begun",
        "  loading: 0 after 0:00:00",
    ]


def test_no_line_of_many_threads_is_lost() -> None:
    """Loops of a pool's threads begin, advance and end at once; every one has its two lines."""
    console = log()

    def work(number: int) -> None:
        task = lines.start(f"loop {number}", 3)
        for _ in range(3):
            lines.advance(task, 1)
        lines.finish(task)

    with Lines(console, interval=0.001) as lines, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(100)))
    found = text(console).splitlines()
    for number in range(100):
        assert f"loop {number}: 0 of 3" in found
        assert f"loop {number}: 3 of 3 in 0:00:00" in found


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
