from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.measure import auroc2
from workbench.models import LanguageModel
from workbench.progress import reporting
from workbench.teach.adapter import load_adapter, remove_adapter
from workbench.teach.heads import (
    FILE,
    head_network,
    read_head,
    read_head_and_adapter,
    teach_head,
    teach_head_and_adapter,
)
from workbench.teach.target_trainer import EXTRA_MODULE_FILE
from workbench.teach.training_job import HeadInputs, TrainingJob

RNG = np.random.default_rng(0)
STATES = RNG.normal(size=(120, 3, 8)).astype(np.float32) * 50
RIGHT = STATES[:, -1, 2] > 0


def job(
    folder: Path, states: np.ndarray = STATES, targets: np.ndarray = RIGHT, seed: int = 0
) -> TrainingJob:
    whole: dict[str, Any] = dict.fromkeys(TrainingJob.__dataclass_fields__)
    whole |= {
        "states": lambda name: {"answer_end": states}[name],
        "targets": targets.astype(float),
        "settings": TeachSettings(),
        "seed": seed,
        "folder": folder,
        "description": "head",
    }
    return TrainingJob(**whole)


def judged(folder: Path, states: np.ndarray) -> HeadInputs:
    whole: dict[str, Any] = dict.fromkeys(HeadInputs.__dataclass_fields__)
    return HeadInputs(
        **(whole | {"states": lambda name: {"answer_end": states}[name], "folder": folder})
    )


def test_what_the_last_layer_holds_is_learnt(tmp_path: Path) -> None:
    taught = teach_head(job(tmp_path, STATES[:80], RIGHT[:80]))
    found = read_head(judged(tmp_path, STATES[80:]))
    assert auroc2(found, RIGHT[80:]) > 0.9
    assert ((found > 0) & (found < 1)).all()
    assert len(taught.log) == 60 * 80 // 8
    assert taught.log[-1]["loss"] < 0.5 * taught.log[0]["loss"]
    assert taught.tokens == 0


def test_the_saved_network_gives_the_probabilities(tmp_path: Path) -> None:
    """By plain matrix products from the file."""
    teach_head(job(tmp_path))
    saved = load_file(tmp_path / FILE)
    x = (torch.tensor(STATES[:, -1]) - saved["mean"]) / saved["scale"]
    for layer in (0, 2, 4):
        x = torch.relu(x @ saved[f"{layer}.weight"].T + saved[f"{layer}.bias"])
    expected = (x @ saved["6.weight"].T + saved["6.bias"]).softmax(dim=-1)[:, 1]
    assert read_head(judged(tmp_path, STATES)) == pytest.approx(expected.numpy(), abs=1e-5)
    assert [tuple(p.shape) for p in head_network(8, (256, 128, 64)).parameters()][::2] == [
        (256, 8),
        (128, 256),
        (64, 128),
        (2, 64),
    ]


def test_the_seed_decides_and_nothing_outside_is_drawn_from(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    before = torch.random.get_rng_state()
    logs = [
        teach_head(job(tmp_path / name, STATES[:24], RIGHT[:24], seed)).log
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert logs[0] == logs[1] != logs[2]


class Killer:
    """Interrupts after some units of work."""

    def __init__(self, after: int) -> None:
        self.left = after

    def start(self, description: str, total: float | None) -> int:
        return 0

    def advance(self, task: int, amount: float) -> None:
        self.left -= int(amount)
        if self.left <= 0:
            raise KeyboardInterrupt

    def finish(self, task: int) -> None: ...


def test_a_killed_training_leaves_no_head(tmp_path: Path) -> None:
    with reporting(Killer(1)), pytest.raises(KeyboardInterrupt):
        teach_head(job(tmp_path))
    assert not (tmp_path / FILE).exists()


FORMAT = FORMATS["percent"]
TEACH = TeachSettings(
    adapter_scope="conversation", start_layer=0, epochs=3, batch_size=5, learning_rate=1e-2, loraplus_lr_ratio=1, checkpoint_steps=4,
    lora=LoraSettings(rank=4, dropout=0.1, target_modules=("q_proj", "v_proj")),
)  # fmt: skip


def spoken_job(lm: LanguageModel, folder: Path) -> TrainingJob:
    """Thirty answers, right where the question says "upper"."""
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    texts = [f"Is the {'upper' if i % 2 else 'lower'} one {i * 37 % 50}?" for i in range(30)]
    whole = vars(job(folder, targets=np.arange(30) % 2 == 1))
    rows = [confidence_conversation(lm.tokenizer, FORMAT, numbers, text, "it is") for text in texts]
    return TrainingJob(**(whole | {"lm": lm, "conversations": rows, "settings": TEACH}))


def spoken(lm: LanguageModel, job: TrainingJob) -> HeadInputs:
    @contextmanager
    def tuned() -> Iterator[LanguageModel]:
        model = load_adapter(lm, job.folder / "adapter")
        yield model
        remove_adapter(model)

    return HeadInputs(
        job.questions, job.answers, job.conversations, job.states, job.folder, tuned, 300
    )


def test_head_and_adapter_learn_together_and_are_read_together(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    """Read by plain PEFT and plain matrix products; the loss of training is that of what is
    read.
    """
    taught_job = spoken_job(tiny_lm, tmp_path)
    taught = teach_head_and_adapter(taught_job)
    remove_adapter(taught.lm)
    assert [row["step"] for row in taught.log] == list(range(1, 19))
    assert taught.log[-1]["loss"] < taught.log[0]["loss"]
    found = read_head_and_adapter(spoken(tiny_lm, taught_job))
    saved, expected = load_file(tmp_path / FILE), []
    assert "mean" not in saved
    model = PeftModel.from_pretrained(tiny_lm.base(), tmp_path / "adapter").eval()
    for row in taught_job.conversations:
        with torch.no_grad():
            tokens = torch.tensor([row.tokens[: row.answer_end + 1]])
            x = model.get_base_model().model(input_ids=tokens).last_hidden_state[0, -1]
            for layer in (0, 2, 4):
                x = torch.relu(saved[f"{layer}.weight"] @ x + saved[f"{layer}.bias"])
            expected.append(float((saved["6.weight"] @ x + saved["6.bias"]).softmax(dim=-1)[1]))
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_a_killed_training_of_both_resumes_to_the_same(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    files = {}
    for name, killed in (("whole", False), ("killed", True)):
        folder = tmp_path / name
        folder.mkdir()
        if killed:
            with reporting(Killer(10)), pytest.raises(KeyboardInterrupt):
                teach_head_and_adapter(spoken_job(make_tiny(), folder))
            assert (folder / "checkpoints" / "checkpoint-8" / EXTRA_MODULE_FILE).exists()
        teach_head_and_adapter(spoken_job(make_tiny(), folder))
        files[name] = load_file(folder / FILE) | load_file(
            folder / "adapter" / "adapter_model.safetensors"
        )
    assert all(torch.equal(files["whole"][key], files["killed"][key]) for key in files["whole"])
