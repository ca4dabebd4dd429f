from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from workbench.measure import auroc2
from workbench.progress import reporting
from workbench.teach.heads import BATCH, EPOCHS, FILE, head_network, read_head, teach_head
from workbench.teach.lesson import Judged, Lesson

RNG = np.random.default_rng(0)
STATES = RNG.normal(size=(120, 3, 8)).astype(np.float32) * 50
RIGHT = STATES[:, -1, 2] > 0


def lesson(folder: Path, states: np.ndarray = STATES, targets: np.ndarray = RIGHT, seed: int = 0) -> Lesson:
    whole: dict[str, Any] = dict.fromkeys(Lesson.__dataclass_fields__)
    whole |= {
        "states": lambda name: {"answer_end": states}[name],
        "targets": targets.astype(float),
        "seed": seed,
        "folder": folder,
        "description": "head",
    }
    return Lesson(**whole)


def test_what_the_last_layer_holds_is_learnt(tmp_path: Path) -> None:
    taught = teach_head(lesson(tmp_path, STATES[:80], RIGHT[:80]))
    found = read_head(Judged(lambda name: STATES[80:], tmp_path))
    assert auroc2(found, RIGHT[80:]) > 0.9
    assert ((found > 0) & (found < 1)).all()
    assert len(taught.log) == EPOCHS * 80 // BATCH
    assert taught.log[-1]["loss"] < 0.5 * taught.log[0]["loss"]
    assert taught.tokens == 0


def test_the_saved_network_gives_the_probabilities(tmp_path: Path) -> None:
    """By plain matrix products from the file."""
    teach_head(lesson(tmp_path))
    saved = load_file(tmp_path / FILE)
    x = (torch.tensor(STATES[:, -1]) - saved["mean"]) / saved["scale"]
    for layer in (0, 2, 4):
        x = torch.relu(x @ saved[f"{layer}.weight"].T + saved[f"{layer}.bias"])
    expected = (x @ saved["6.weight"].T + saved["6.bias"]).softmax(dim=-1)[:, 1]
    assert read_head(Judged(lambda name: STATES, tmp_path)) == pytest.approx(expected.numpy(), abs=1e-5)
    assert [tuple(p.shape) for p in head_network(8).parameters()][::2] == [(256, 8), (128, 256), (64, 128), (2, 64)]


def test_the_seed_decides_and_nothing_outside_is_drawn_from(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    before = torch.random.get_rng_state()
    logs = [teach_head(lesson(tmp_path / name, seed=seed)).log for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert logs[0] == logs[1] != logs[2]


def test_a_killed_training_leaves_no_head(tmp_path: Path) -> None:
    class Killer:
        def start(self, description: str, total: float | None) -> int:
            return 0

        def advance(self, task: int, amount: float) -> None:
            raise KeyboardInterrupt

        def finish(self, task: int) -> None: ...

    with reporting(Killer()), pytest.raises(KeyboardInterrupt):
        teach_head(lesson(tmp_path))
    assert not (tmp_path / FILE).exists()
