from __future__ import annotations

from pathlib import Path

import pytest

from workbench.bench import teach
from workbench.bench.teach import PARTS, bench_teach
from workbench.bench.trainer_kinds import KINDS
from workbench.bench.trainers import trl_installed
from workbench.errors import WorkbenchError


def test_a_whole_run_has_ratios_and_losses(tiny_folder: Path) -> None:
    found = bench_teach(str(tiny_folder), rows=16, epochs=2, rounds=2, parts=["speed", "exact"])
    values = found.values
    assert (values["start_layer"], values["steps"], values["layers"]) == (2, 4, 4)
    kinds = [name for name, kind in KINDS.items() if trl_installed() or not kind.trl]
    assert {name: [len(each.losses) for each in runs] for name, runs in found.rounds.items()} == {
        name: [4, 4] for name in kinds
    }
    assert (
        values["full_over_partial.low"]
        <= values["full_over_partial"]
        <= values["full_over_partial.high"]
    )
    last = [sum(each.losses[2:]) / 2 for each in found.rounds["full"]]
    assert values["loss.full"] == pytest.approx(sum(last) / 2)
    assert values["loss.seed_noise"] == pytest.approx(abs(last[0] - last[1]) / 2**0.5)
    if not trl_installed():
        assert values["trl_over_full"] is None
        assert any("pip install" in note for note in found.notes)
        return
    assert values["trl_over_full"] > 0
    assert abs(values["loss.gap"]) < 0.05
    assert max(values["exact.full_gap"], values["exact.partial_gap"]) < 1e-4


def test_memory_is_a_ratio_to_the_peer_that_trains_the_same_layers() -> None:
    found = teach.memory_ratios({"full": 6, "trl": 12, "partial": 2, "trl_upper": 8})
    assert found["memory.full_over_trl"] == 0.5
    assert found["memory.partial_over_trl"] == 0.25


def test_without_trl_it_is_named_as_missing(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the memory it says of whom; that of a training is measured in a test of its own."""
    monkeypatch.setattr(teach, "trl_installed", lambda: False)
    monkeypatch.setattr(teach, "peaks", lambda model, names, *_: dict.fromkeys(names, 6))
    found = bench_teach(str(tiny_folder), rows=8, epochs=1, rounds=1, start_layer=3)
    assert (
        found.values["trl_over_full"]
        is found.values["trl_over_partial"]
        is found.values["loss.gap"]
        is None
    )
    assert set(found.rounds) == {"full", "partial"}
    assert "exact.full_gap" not in found.values
    memory = {key: value for key, value in found.values.items() if key.startswith("memory.")}
    assert memory == {
        "memory.full_bytes": 6,
        "memory.partial_bytes": 6,
        "memory.full_over_trl": None,
        "memory.partial_over_trl": None,
    }
    assert "pip install" in found.notes[0]


@pytest.mark.parametrize(
    ("rows", "parts", "words"),
    [(8, ["sped"], "Unknown part"), (8, [], "part"), (12, PARTS, "whole batches")],
)
def test_choices_that_cannot_be_measured_are_refused_before_the_model_is_loaded(
    rows: int, parts: list[str], words: str
) -> None:
    with pytest.raises(WorkbenchError, match=words):
        bench_teach("/no/such/model", rows=rows, epochs=1, rounds=1, parts=parts)
