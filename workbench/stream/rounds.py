"""Take tasks through a model's layers: read a layer, let every task that waits for it go through
it, drop it, go on to the next.

A round begins at the first layer and ends at the last. A task whose pass ends early, begins at a
later layer or is its second joins where it waits. So a round reads the layers once however many
tasks there are, and as many rounds are needed as the task with the most passes makes.

The tensors that waiting tasks hold are counted, so that a gate can put them into files where they
exceed a stated bound (:mod:`workbench.stream.spill`). What tasks return, and what they keep of
their own besides, is their caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from greenlet import GreenletExit, getcurrent

from workbench import progress
from workbench.compat import trim_heap_if_due
from workbench.stream.tasks import Task, current_task, give_way, same_switches

if TYPE_CHECKING:
    from workbench.stream.gates import LayerGate, LayerStream
    from workbench.stream.pass_log import TaskLog

Result = TypeVar("Result")

_streams: WeakSet[LayerStream] = WeakSet()


def open_stream(stream: LayerStream) -> None:
    """Let tasks run side by side from now on, as long as ``stream`` is there and not closed."""
    _streams.add(stream)


def close_stream(stream: LayerStream) -> None:
    """Let tasks run one after another again where this was the last stream."""
    _streams.discard(stream)


def run_together(
    works: Sequence[Callable[[], Result]], description: str | None = None
) -> list[Result]:
    """Return the results of all ``works``, in their order.

    Without a streamed model they are run one after another. With one they run side by side, and
    each pass over its weights serves all of them. Inside a task this starts further ones.

    Args:
        description: what a progress bar says; none is shown without.

    Raises:
        BaseException: what the first failing one raised; the others are ended.
    """
    if not _streams:
        shown = works if description is None else progress.track(works, description)
        return [_work_alone(work) for work in shown]
    rounds = _rounds.get()
    if rounds is None:
        return Rounds(min(stream.most_waiting_bytes for stream in _streams)).run(works, description)
    return rounds.run_inside(works)


def _work_alone(work: Callable[[], Result]) -> Result:
    """Return what ``work`` does. What it freed is given back, because the next is of other lengths
    and its tensors fit into few of the holes.
    """
    result = work()
    trim_heap_if_due()
    return result


class Rounds:
    """The tasks that run at one time, and which layers they wait for."""

    def __init__(self, most_waiting_bytes: int) -> None:
        self.most_waiting_bytes = most_waiting_bytes
        self.waiting_bytes = 0
        self.stack = getcurrent()
        self._ready: deque[Task] = deque()
        self._waiting: dict[LayerGate, list[Task]] = {}
        self._live: set[Task] = set()
        self._bar: progress.Task | None = None
        logs = [stream.pass_log for stream in _streams]
        self._pass_log = logs[0] if len(logs) == 1 else None
        self.log: TaskLog | None = None

    def run(self, works: Sequence[Callable[[], Result]], description: str | None) -> list[Result]:
        """Run tasks from outside of any, see :func:`run_together`."""
        token, finished = _rounds.set(self), False
        tasks = [Task(work, path=(number,)) for number, work in enumerate(works)]
        self._ready.extend(tasks)
        try:
            with (
                same_switches(),
                progress.task(f"{description or 'passes'}, layer by layer") as self._bar,
            ):
                self._go_round(tasks)
            finished = True
        finally:
            _rounds.reset(token)
            if self.log is not None:
                self.log.close(finished)
            with same_switches():
                for task in list(self._live):
                    task.cancel()
        return [task.result for task in tasks]

    def run_inside(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """Run tasks from inside one, which waits for them."""
        parent = current_task()
        assert parent is not None
        first = parent.started
        tasks = [Task(work, parent, path=(*parent.path, first + n)) for n, work in enumerate(works)]
        parent.children, parent.started = len(tasks), first + len(tasks)
        self._ready.extend(tasks)
        if tasks:
            give_way(self.stack)
        _raise_first(tasks)
        return [task.result for task in tasks]

    def wait_for(self, gate: LayerGate, task: Task) -> None:
        """Let ``task``, which runs, wait for a layer."""
        self._waiting.setdefault(gate, []).append(task)
        if not (self.logs and (self.log is None or self.log.offers(task))):
            gate.stream.expect(gate.layer)
        give_way(self.stack)

    @property
    def logs(self) -> bool:
        """Whether what layers return is written down."""
        return self._pass_log is not None

    def room_for(self, task: Task) -> int:
        """Return what ``task`` may hold in memory, given what the others hold."""
        return self.most_waiting_bytes - (self.waiting_bytes - task.waiting_bytes)

    def note_waiting(self, task: Task, held: int) -> None:
        """Note that ``task`` holds tensors of ``held`` bytes in memory."""
        self.waiting_bytes += held - task.waiting_bytes
        task.waiting_bytes = held

    def _go_round(self, tasks: Sequence[Task]) -> None:
        at: tuple[LayerStream, int] | None = None
        used: set[LayerStream] = set()
        while not all(task.done for task in tasks):
            self._start()
            if not self._waiting:
                continue
            if self._pass_log is not None and at is None:
                waiting = [task for group in self._waiting.values() for task in group]
                self.log = self._pass_log.open(waiting)
                self._pass_log = None if self.log is None else self._pass_log
            gate = self._next(at)
            at = gate.stream, gate.layer
            used.add(gate.stream)
            with ExitStack() as stack:
                while self._waiting.get(gate):
                    for task in self._waiting.pop(gate):
                        if self.log is None or not self.log.has_read(task):
                            stack.enter_context(gate.stream.filled(gate.layer))
                        self._step(task)
                    self._start()
            if self._bar is not None:
                self._bar.advance()
        for stream in used:
            stream.rest()

    def _next(self, at: tuple[LayerStream, int] | None) -> LayerGate:
        """Return the next layer that tasks wait for, from the place ``at`` on, else the first."""
        gates = list(self._waiting)
        same = [gate for gate in gates if at is not None and gate.stream is at[0]]
        after = [gate for gate in same if at is not None and gate.layer > at[1]]
        return min(after or same or gates, key=lambda gate: gate.layer)

    def _start(self) -> None:
        """Let all tasks go on, or begin, that wait for no layer."""
        while self._ready:
            self._step(self._ready.popleft())

    def _step(self, task: Task) -> None:
        self._live.add(task)
        task.resume()
        if not task.done:
            return
        self._live.discard(task)
        self.note_waiting(task, 0)
        if task.parent is None:
            if task.error is not None:
                raise task.error
            return
        task.parent.children -= 1
        if task.error is not None:
            self._end_siblings(task)
        if not task.parent.children:
            self._ready.append(task.parent)

    def _end_siblings(self, failed: Task) -> None:
        parent = failed.parent
        assert parent is not None
        for other in list(self._live):
            if other is not parent and other.descends_from(parent):
                other.cancel()
                self._live.discard(other)
                self.note_waiting(other, 0)
        self._ready = deque(t for t in self._ready if t is parent or not t.descends_from(parent))
        for gate, tasks in list(self._waiting.items()):
            left = [t for t in tasks if t is parent or not t.descends_from(parent)]
            if left:
                self._waiting[gate] = left
            else:
                del self._waiting[gate]
        parent.children = 0


_rounds: ContextVar[Rounds | None] = ContextVar("workbench_rounds", default=None)


def current_rounds() -> Rounds | None:
    """Return the rounds in which the current task runs."""
    return _rounds.get()


def _raise_first(tasks: Sequence[Task]) -> None:
    """Raise what the first failing task raised, not that others were ended for it."""
    errors = [task.error for task in tasks if task.error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, GreenletExit)):
        raise error
