from __future__ import annotations

import torch

from workbench.bench.inputs import make_inputs
from workbench.bench.memory import memory, peak_bytes
from workbench.models import LanguageModel

CPU = torch.device("cpu")


def test_the_peak_is_what_was_held_at_once() -> None:
    def work() -> None:
        first = torch.zeros(500_000)
        second = torch.zeros(250_000)
        del first
        third = torch.zeros(400_000)
        del second, third

    peak = peak_bytes(work, CPU)
    assert peak is not None
    assert 3_000_000 <= peak < 3_000_000 + 1_000


def test_devices_that_do_not_say_are_not_guessed() -> None:
    assert peak_bytes(lambda: None, torch.device("meta")) is None


def test_a_map_stays_under_its_bound(tiny_lm: LanguageModel) -> None:
    found = memory(make_inputs(tiny_lm, rows=2, tokens=24, positions=8))
    assert found["memory.tokens_per_forward"] == 96
    assert found["memory.map_cells"] == 4 * 8
    assert (
        0
        < found["memory.forward_bytes"]
        < found["memory.sweep_bytes"]
        < found["memory.bound_bytes"]
    )
    assert found["memory.map_bytes"] <= found["memory.bound_bytes"]
    assert found["memory.within_bound"] is True
