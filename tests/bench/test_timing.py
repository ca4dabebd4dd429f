from __future__ import annotations

import pytest

from workbench.bench import timing
from workbench.bench.timing import alternate, ratio, spread, time_methods


class Clock:
    """Moves by what each call costs, in the order of ``costs``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **costs: list[float]) -> None:
        self.now, self.calls, self.costs = 0.0, [], costs
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def method(self, name: str) -> None:
        self.now += self.costs[name][self.calls.count(name)]
        self.calls.append(name)


def test_methods_take_turns_after_one_untimed_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, a=[101, 1, 2], b=[110, 10, 30])
    times = alternate({"a": lambda: clock.method("a"), "b": lambda: clock.method("b")}, 2)
    assert clock.calls == ["a", "b"] * 3
    assert times == {"a": [1, 2], "b": [10, 30]}
    assert ratio(times, "b", "a") == [10, 15]


def test_every_call_counts_where_none_is_untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, a=[4])
    assert alternate({"a": lambda: clock.method("a")}, 1, untimed=0) == {"a": [4]}


def test_slow_methods_are_divided_by_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that becomes slower: the reference takes 1, 3, 5 around libraries of 20 and 80."""
    clock = Clock(monkeypatch, ref=[1, 3, 5], x=[20], y=[80])
    methods = {"x": lambda: clock.method("x"), "y": lambda: clock.method("y")}
    ratios, references = time_methods(lambda: clock.method("ref"), methods, 1)
    assert clock.calls == ["ref", "x", "ref", "y", "ref"]
    assert ratios == {"x": [10], "y": [20]}
    assert references == [1, 3, 5]


def test_a_spread_is_median_smallest_and_largest() -> None:
    assert spread("k", [3.0, 1.0, 7.0, 2.0, 9.0]) == {"k": 3, "k.low": 1, "k.high": 9}
