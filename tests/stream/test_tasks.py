from __future__ import annotations

from contextvars import ContextVar

import torch
from greenlet import getcurrent

from workbench.stream.tasks import Task, current_task, for_this_task, give_way, note_kept

setting: ContextVar[str] = ContextVar("setting", default="none")


def test_tasks_take_turns_where_they_wait() -> None:
    said: list[str] = []
    scheduler = getcurrent()

    def work(name: str) -> str:
        said.append(f"{name} begins")
        give_way(scheduler)
        said.append(f"{name} ends")
        return name

    one, other = Task(lambda: work("one")), Task(lambda: work("other"))
    one.resume()
    other.resume()
    assert current_task() is None
    assert not one.done
    other.resume()
    one.resume()
    assert said == ["one begins", "other begins", "other ends", "one ends"]
    assert (one.done, one.result, other.result) == (True, "one", "other")


def test_whether_gradients_are_recorded_is_each_tasks_own() -> None:
    seen: list[bool] = []
    scheduler = getcurrent()

    def work() -> None:
        with torch.no_grad():
            give_way(scheduler)
            seen.append(torch.is_grad_enabled())
        seen.append(torch.is_grad_enabled())

    one, other = Task(work), Task(work)
    one.resume()
    assert torch.is_grad_enabled()
    other.resume()
    one.resume()
    other.resume()
    assert seen == [False, True, False, True]
    assert torch.is_grad_enabled()


def test_a_hook_acts_for_its_task_and_those_it_started() -> None:
    calls: list[str] = []
    hooks = {}

    def register(name: str) -> None:
        hooks[name] = for_this_task(lambda: calls.append(name))
        give_way(scheduler)
        for hook in hooks.values():
            hook()

    scheduler = getcurrent()
    outer = for_this_task(lambda: calls.append("outside"))
    one, other = Task(lambda: register("one")), Task(lambda: register("other"))
    one.resume()
    other.resume()
    one.resume()
    assert calls == ["one"]
    child = Task(hooks["one"], parent=one)
    child.resume()
    outer()
    Task(outer).resume()
    assert calls == ["one", "one", "outside", "outside"]


def test_an_ended_task_leaves_its_blocks() -> None:
    left: list[str] = []
    scheduler = getcurrent()

    def work() -> None:
        try:
            with torch.no_grad():
                give_way(scheduler)
        finally:
            left.append("left")

    task = Task(work)
    task.resume()
    task.cancel()
    assert left == ["left"]
    assert task.done
    assert torch.is_grad_enabled()
    Task(work).cancel()  # never began


def test_a_task_sees_what_was_set_where_it_was_made() -> None:
    token = setting.set("inside")
    task = Task(setting.get)
    setting.reset(token)
    task.resume()
    assert task.result == "inside"


def test_kept_tensors_are_known_as_long_as_they_are_there() -> None:
    def work() -> list[int]:
        kept, dropped = torch.ones(2), torch.ones(3)
        note_kept(kept)
        note_kept(dropped)
        del dropped
        task = current_task()
        assert task is not None
        return [len(tensor) for tensor in task.tensors_kept()]

    task = Task(work)
    task.resume()
    assert task.result == [2]
    note_kept(torch.ones(1))  # outside of any
