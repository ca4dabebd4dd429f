from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.bench import sweep
from workbench.bench.sweep import alternate, bench_sweep, plain_forward
from workbench.elicit.trie import build_trie
from workbench.models import LanguageModel


def test_methods_take_turns_after_one_untimed_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock moves by what each method costs: 1 and 10, and 100 more in the round that is not timed."""
    clock, calls = [0.0], []

    def method(name: str, cost: float) -> None:
        calls.append(name)
        clock[0] += cost + (100 if len(calls) <= 2 else 0)

    monkeypatch.setattr(sweep.time, "perf_counter", lambda: clock[0])
    times = alternate({"a": lambda: method("a", 1), "b": lambda: method("b", 10)}, 3)
    assert calls == ["a", "b"] * 4
    assert times == {"a": [1, 1, 1], "b": [10, 10, 10]}


def test_the_plain_forward_reads_the_next_token(tiny_lm: LanguageModel) -> None:
    prompts = [[20, 21, 22, 23], [30, 31, 32, 33]]
    with torch.no_grad():
        logits = tiny_lm.base()(input_ids=torch.tensor(prompts)).logits[:, -1]
    expected = logits.log_softmax(dim=-1)[:, None, [11, 12]]
    found = plain_forward(tiny_lm, prompts, build_trie([[11], [12]], [0, 1]))
    torch.testing.assert_close(found, expected)


def test_ratios_are_medians_over_repeats(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def timed(methods: dict[str, object], repeats: int) -> dict[str, list[float]]:
        seen.append(sorted(methods))
        return {"loop": [12.0]} if "loop" in methods else {"forward": [1.0, 2.0, 4.0], "packed": [1.5, 2.4, 4.4]}

    monkeypatch.setattr(sweep, "alternate", timed)
    result = bench_sweep(str(tiny_folder), rows=3, tokens=12, repeats=3, with_loop=True)
    assert seen == [["forward", "packed"], ["loop"]]
    assert result["packed_over_forward"] == pytest.approx(1.2)
    assert (result["packed_over_forward.low"], result["packed_over_forward.high"]) == (pytest.approx(1.1), 1.5)
    assert result["seconds.forward"] == 2
    assert result["loop_over_packed"] == 5
    assert result["packed_vs_loop"] < 1e-6
    assert {key: result[key] for key in ("rows", "tokens", "layers", "dtype", "repeats")} == {
        "rows": 3,
        "tokens": 12,
        "layers": 4,
        "dtype": "float32",
        "repeats": 3,
    }


def test_the_loop_is_measured_when_asked_for(tiny_folder: Path) -> None:
    result = bench_sweep(str(tiny_folder), rows=1, tokens=4, repeats=1, with_loop=False)
    assert result["packed_over_forward"] > 0
    assert not {"loop_over_packed", "packed_vs_loop"} & set(result)
