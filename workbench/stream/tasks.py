"""Run functions side by side in one thread, each until it has to wait for a layer of a model.

A task is a plain function that runs passes of a model. It has a stack of its own (a greenlet), so
it can wait in the middle of a pass, deep inside the model's own code, while others go on; only one
runs at any time, and none is interrupted but where it waits. So batches of one computation become
tasks without a change of that computation.

What a task sets for its passes must not act on those of others. Hooks that it registers on the
model act on its own passes and on those of tasks that it started (:func:`for_this_task`). Of what
the whole process has one, as the switch of an adapter, each task has a value of its own that is put
back when it goes on (:func:`keep_for_each_task`); so is whether gradients are recorded.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from greenlet import greenlet

OWNER = "owner_task"
"""Name under which a hook holds the task it belongs to."""


@dataclass(eq=False)
class Task:
    """A function that runs beside others.

    Attributes:
        parent: the task that started it, None for none.
        children: how many tasks it waits for.
        waiting_bytes: what the tensors take that it holds in memory while it waits for a layer.
        kept: what it keeps of a pass besides the states that the next layer gets.
        path: its number among the tasks of each of its ancestors, and of its parent.
        started: how many tasks it has started.
        calls: how many calls of layers it has made.
        given: digest of what the last one gets; None where that is not known.
    """

    work: Callable[[], Any]
    parent: Task | None = None
    result: Any = None
    error: BaseException | None = None
    path: tuple[int, ...] = ()
    started: int = 0
    calls: int = 0
    given: bytes | None = None
    children: int = 0
    done: bool = False
    waiting_bytes: int = 0
    kept: list[weakref.ref[Any]] = field(default_factory=list, repr=False)
    context: Context = field(default_factory=copy_context, repr=False)
    switches: list[Any] = field(default_factory=lambda: _switches(), repr=False)
    stack: Any = field(default=None, repr=False)

    def keep(self, tensor: Any) -> None:
        """Note a tensor that this task holds while it waits, as long as somebody refers to it."""
        self.kept.append(weakref.ref(tensor))

    def tensors_kept(self) -> list[Any]:
        """Return the noted tensors that are still there."""
        alive = [(ref, tensor) for ref in self.kept if (tensor := ref()) is not None]
        self.kept = [ref for ref, _ in alive]
        return [tensor for _, tensor in alive]

    def descends_from(self, other: Task) -> bool:
        """Return whether this is the task ``other``, or was started by it or its descendants."""
        task: Task | None = self
        while task is not None and task is not other:
            task = task.parent
        return task is other

    def resume(self) -> None:
        """Let the task go on until it waits or ends. Called by what schedules tasks, which gets
        control back.
        """
        if self.stack is None:
            self.stack = greenlet(self._run)
            self.stack.gr_context = self.context
        with _same_gradient_mode():
            self.stack.switch()

    def cancel(self) -> None:
        """End the task where it waits; its context managers are left as by an error."""
        if self.stack is not None and not self.stack.dead:
            with _same_gradient_mode():
                self.stack.throw()

    def _run(self) -> None:
        _current.set(self)
        _put_switches(self.switches)
        try:
            self.result = self.work()
        except BaseException as error:  # handed on to whoever waits for the task
            self.error = error
        self.done = True


_current: ContextVar[Task | None] = ContextVar("workbench_task", default=None)


def current_task() -> Task | None:
    """Return the task that runs; None outside of any."""
    return _current.get()


def give_way(scheduler: greenlet) -> None:
    """Let others run until the current task is resumed by its ``scheduler``."""
    kept = _switches()
    try:
        with _same_gradient_mode():
            scheduler.switch()
    finally:
        _put_switches(kept)


_kept: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []


def keep_for_each_task(read: Callable[[], Any], put: Callable[[Any], None]) -> None:
    """Let every task have its own value of something that the process has one of: what ``read``
    returns when the task has to wait is handed to ``put`` when it goes on. A new task begins with
    the value of where it was made.
    """
    _kept.append((read, put))


@contextmanager
def same_switches() -> Iterator[None]:
    """Put back what is kept for each task, after a block in which tasks take turns."""
    kept = _switches()
    try:
        yield
    finally:
        _put_switches(kept)


def _switches() -> list[Any]:
    return [read() for read, _ in _kept]


def _put_switches(values: list[Any]) -> None:
    for (_, put), value in zip(_kept, values, strict=False):
        put(value)


@contextmanager
def _same_gradient_mode() -> Iterator[None]:
    """Have torch record gradients after the block if and only if it did before. All tasks share a
    thread, and torch keeps one mode for it.
    """
    import torch

    grad = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(grad)


def note_kept(tensor: Any) -> None:
    """Note that the current task, if there is one, keeps a tensor while it waits."""
    task = current_task()
    if task is not None:
        task.keep(tensor)


def for_this_task(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that does nothing in passes of other tasks; the same hook outside of any."""
    mine = current_task()

    @wraps(hook)
    def own(*args: Any, **kwargs: Any) -> Any:
        task = current_task()
        acts = mine is None or (task is not None and task.descends_from(mine))
        return hook(*args, **kwargs) if acts else None

    vars(own)[OWNER] = mine
    return own


def acts_on(hook: Any, task: Task) -> bool:
    """Return whether a hook that :func:`for_this_task` made acts on the passes of ``task``."""
    held = vars(hook) if hasattr(hook, "__dict__") else {}
    return OWNER in held and (held[OWNER] is None or task.descends_from(held[OWNER]))
