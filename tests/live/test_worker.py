"""Views run one after another; what is not wanted any more ends before its next line."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from workbench.errors import WorkbenchError
from workbench.live.worker import MOST_WAITING, Job, Line, Worker

PATIENCE = 20


class Receiver:
    """What one job answered, and when it ended."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.ended, self.begun = threading.Event(), threading.Event()

    def __call__(self, line: Line | None) -> None:
        if line is None:
            self.ended.set()
        else:
            self.lines.append(line)
            self.begun.set()

    @property
    def kinds(self) -> list[object]:
        return [line.get("kind", line.get("n")) for line in self.lines]


class Steps:
    """A view of ``n`` lines, each of which waits until it is let go."""

    def __init__(self, n: int) -> None:
        self.n, self.go, self.made, self.closed = n, threading.Semaphore(0), 0, False

    def __call__(self) -> Iterator[Line]:
        try:
            for at in range(self.n):
                assert self.go.acquire(timeout=PATIENCE)
                self.made += 1
                yield {"n": at}
        finally:
            self.closed = True

    def let(self, n: int) -> None:
        self.go.release(n)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


def fill(worker: Worker) -> None:
    """Two more views than may wait, if that many are let in."""
    for number in range(3):
        submit(worker, f"more {number}", lambda: iter(()))


def submit(worker: Worker, key: str, work: object) -> tuple[Job, Receiver]:
    receiver = Receiver()
    return worker.submit(("page", key), work, receiver), receiver  # type: ignore[arg-type]


def test_lines_come_in_order_and_jobs_after_each_other(worker: Worker) -> None:
    one, two = Steps(2), Steps(1)
    _, first = submit(worker, "grid", one)
    _, second = submit(worker, "curve", two)
    two.let(1)
    one.let(2)
    assert first.ended.wait(PATIENCE)
    assert second.ended.wait(PATIENCE)
    assert (first.kinds, second.kinds) == ([0, 1], [0])


def test_a_newer_view_of_the_kind_ends_the_older_before_its_next_line(worker: Worker) -> None:
    older, newer = Steps(50), Steps(1)
    _, first = submit(worker, "grid", older)
    older.let(1)
    assert first.begun.wait(PATIENCE)
    _, second = submit(worker, "grid", newer)
    older.let(1)
    newer.let(1)
    assert second.ended.wait(PATIENCE)
    assert first.kinds == [0, "cancelled"]
    assert older.made <= 2
    assert older.closed
    assert second.kinds == [0]


def test_a_waiting_view_that_is_cancelled_never_begins(worker: Worker) -> None:
    running, waiting = Steps(1), Steps(1)
    submit(worker, "grid", running)
    job, receiver = submit(worker, "curve", waiting)
    job.cancel()
    running.let(1)
    assert receiver.ended.wait(PATIENCE)
    assert waiting.made == 0
    assert receiver.kinds == ["cancelled"]


def test_the_page_of_another_person_is_not_superseded(worker: Worker) -> None:
    one, two, theirs = Steps(1), Steps(1), Receiver()
    _, ours = submit(worker, "grid", one)
    worker.submit(("other", "grid"), two, theirs)
    one.let(1)
    two.let(1)
    assert ours.ended.wait(PATIENCE)
    assert theirs.ended.wait(PATIENCE)
    assert ours.kinds == theirs.kinds == [0]


def test_a_fault_is_told_and_the_thread_goes_on(worker: Worker) -> None:
    def faulty() -> Iterator[Line]:
        yield {"n": 0}
        raise WorkbenchError("mend it")

    def broken() -> Iterator[Line]:
        raise ValueError("not foreseen")

    _, first = submit(worker, "a", faulty)
    _, second = submit(worker, "b", broken)
    _, third = submit(worker, "c", lambda: iter([{"n": 7}]))
    assert third.ended.wait(PATIENCE)
    assert first.lines[-1] == {"kind": "error", "message": "mend it"}
    assert second.lines[-1]["message"] == "ValueError: not foreseen"
    assert third.kinds == [7]


def test_the_queue_is_bounded(worker: Worker) -> None:
    held = Steps(1)
    submit(worker, "held", held)
    for number in range(MOST_WAITING - 1):
        submit(worker, f"{number}", lambda: iter(()))
    with pytest.raises(WorkbenchError, match="wait for the model"):
        fill(worker)
    held.let(1)
