from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workbench.bench import timing
from workbench.bench.inputs import make_inputs
from workbench.bench.recording import recording
from workbench.models import LanguageModel
from workbench.models.layer_output import hidden_of


def test_recording_keeps_three_states_a_layer(tiny_lm: LanguageModel) -> None:
    found = recording(make_inputs(tiny_lm, rows=2, tokens=32), 1)
    assert found["record.kv_cache_bytes"] == 2 * 4 * 3 * 32 * 4
    assert found["record.all_streams_bytes"] == 2 * 32 * 4 * 32 * 4
    assert found["record.extra_bytes"] < found["record.all_streams_bytes"]


def test_recording_runs_every_layer_once(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timed by the tokens that pass through layers: those of one plain forward, no more."""
    passed: list[int] = []

    def count(module: Any, args: Any, output: Any) -> None:
        hidden = hidden_of(output)
        passed.append(hidden.shape[0] * hidden.shape[1])

    def tokens(method: Callable[[], Any]) -> float:
        passed.clear()
        method()
        return float(sum(passed))

    for layer in tiny_lm.layers():
        layer.register_forward_hook(count)
    monkeypatch.setattr(timing, "seconds", tokens)
    bench_inputs = make_inputs(tiny_lm, rows=2, tokens=32)
    assert tokens(bench_inputs.forward) == 2 * 32 * 4
    assert recording(bench_inputs, 1)["record_over_forward"] == 1
