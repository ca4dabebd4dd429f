from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench import progress


class Recorder:
    """Writes down what a reporter is told."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def start(self, description: str, total: float | None) -> int:
        self.events.append(("start", description, total))
        return sum(event[0] == "start" for event in self.events)

    def advance(self, task: int, amount: float) -> None:
        self.events.append(("advance", task, amount))

    def finish(self, task: int) -> None:
        self.events.append(("finish", task))

    def begin_stage(self, name: str) -> None:
        self.events.append(("begin", name))

    def end_stage(self, name: str, seconds: float, done: bool) -> None:
        assert 0 <= seconds < 10
        self.events.append(("end", name, done))


def three() -> Iterator[int]:
    yield from range(3)


def test_tracking_reports_each_item_after_its_work() -> None:
    recorder = Recorder()
    with progress.reporting(recorder):
        for item in progress.track(["a", "b"], "letters"):
            recorder.events.append(("work", item))
    assert recorder.events == [
        ("start", "letters", 2),
        ("work", "a"),
        ("advance", 1, 1.0),
        ("work", "b"),
        ("advance", 1, 1.0),
        ("finish", 1),
    ]


def test_the_total_is_stated_unknown_or_counted() -> None:
    recorder = Recorder()
    with progress.reporting(recorder):
        assert list(progress.track(three(), "unknown")) == [0, 1, 2]
        assert list(progress.track(three(), "stated", total=3)) == [0, 1, 2]
        assert list(progress.track(range(3), "counted")) == [0, 1, 2]
    assert [event[1:] for event in recorder.events if event[0] == "start"] == [
        ("unknown", None),
        ("stated", 3),
        ("counted", 3),
    ]


def test_without_a_reporter_tracking_only_iterates() -> None:
    assert list(progress.track(three(), "quiet")) == [0, 1, 2]
    with progress.task("quiet", 5) as handle:
        handle.advance(2)


def test_reporters_nest_and_go_away() -> None:
    outer, inner = Recorder(), Recorder()
    with progress.reporting(outer):
        with progress.reporting(inner):
            list(progress.track([0], "inside"))
        list(progress.track([0], "outside"))
    list(progress.track([0], "nobody"))
    assert [event[1] for event in outer.events if event[0] == "start"] == ["outside"]
    assert [event[1] for event in inner.events if event[0] == "start"] == ["inside"]


def test_a_bar_ends_when_its_work_fails() -> None:
    def fail() -> None:
        with progress.task("bytes", 10) as handle:
            handle.advance(4)
            raise KeyboardInterrupt

    recorder = Recorder()
    with progress.reporting(recorder):
        with pytest.raises(KeyboardInterrupt):
            fail()
        with pytest.raises(RuntimeError), progress.reporting(Recorder()):
            raise RuntimeError
        list(progress.track([0], "afterwards"))
    assert recorder.events[:3] == [("start", "bytes", 10), ("advance", 1, 4), ("finish", 1)]
    assert recorder.events[3][1] == "afterwards"


def test_a_stage_reports_its_beginning_and_whether_it_was_done() -> None:
    recorder = Recorder()
    with progress.reporting(recorder):
        with progress.stage("answer"):
            list(progress.track([0], "answering"))
        with pytest.raises(RuntimeError), progress.stage("teach"):
            raise RuntimeError
    with progress.stage("nobody listens"):
        pass
    assert recorder.events == [
        ("begin", "answer"),
        ("start", "answering", 1),
        ("advance", 1, 1.0),
        ("finish", 1),
        ("end", "answer", True),
        ("begin", "teach"),
        ("end", "teach", False),
    ]
