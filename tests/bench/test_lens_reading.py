from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workbench.bench import timing
from workbench.bench.inputs import make_inputs
from workbench.bench.lens_reading import lens_reading
from workbench.models import LanguageModel
from workbench.models.layer_output import hidden_of


def test_lenses_read_what_one_pass_records(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timed by the tokens that pass through layers: reading, with all lenses, costs no more than
    the recording.
    """
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
    found = lens_reading(make_inputs(tiny_lm, rows=2, tokens=16), 1)
    assert sum(passed) == 2 * (16 + found["lens.nodes"] - 1) * 4
    for name in ("logit", "tuned", "jacobian", "all"):
        assert found[f"lens.{name}_over_record"] == 1
