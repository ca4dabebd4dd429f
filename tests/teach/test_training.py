from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import TrainingArguments

from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import confidence_conversation, number_prefix
from workbench.elicit.formats import PERCENT, Format
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.progress import reporting
from workbench.teach.adapter import load_adapter
from workbench.teach.examples import Example, build_examples, collate
from workbench.teach.training import TargetTrainer, train_adapter

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
COUNT = 16
LORA = LoraSettings(rank=4, alpha=8, dropout=0.1)
SETTINGS = TeachSettings(lora=LORA, learning_rate=1e-2, epochs=3, batch_size=4, accumulation=1, checkpoint_steps=2)
STEPS = 12
WHOLE_SET = TeachSettings(lora=LORA.model_copy(update={"dropout": 0.0}), epochs=1, batch_size=COUNT, accumulation=1)


def examples_of(lm: LanguageModel) -> list[Example]:
    """Conversations of unequal length and targets of one to three digits."""
    numbers = number_prefix(lm.tokenizer, FORMAT)
    rows = [
        confidence_conversation(lm.tokenizer, FORMAT, numbers, f"What is {i} + 7{' x' * (i % 5)}?", str(i + 7))
        for i in range(COUNT)
    ]
    return build_examples(lm.tokenizer, FORMAT, numbers, rows, [(37 * i) % 101 for i in range(COUNT - 1)] + [100])


def plain_loss(lm: LanguageModel, examples: Sequence[Example]) -> float:
    """Cross-entropy over all target tokens from each example's own full, unpadded forward."""
    logits, labels = [], []
    for example in examples:
        with torch.no_grad():
            whole = lm.base()(input_ids=torch.tensor([example.prompt + example.target])).logits[0]
        logits.append(whole[len(example.prompt) - 1 : -1])
        labels.append(torch.tensor(example.target))
    return float(functional.cross_entropy(torch.cat(logits).double(), torch.cat(labels)))


def train(
    lm: LanguageModel, folder: Path, settings: TeachSettings = SETTINGS
) -> tuple[LanguageModel, list[dict[str, float]]]:
    return train_adapter(
        lm, examples_of(lm), settings, folder, precision="float32", seed=3, description="Teaching the tiny model"
    )


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


class Recorder:
    """Keeps what it is told, and raises what it is given once ``limit`` units are done."""

    def __init__(self, limit: float = float("inf"), error: type[BaseException] = KeyboardInterrupt) -> None:
        self.started: list[tuple[str, float | None]] = []
        self.done = 0.0
        self.finished = 0
        self.limit, self.error = limit, error

    def start(self, description: str, total: float | None) -> int:
        self.started.append((description, total))
        return 0

    def advance(self, task: int, amount: float) -> None:
        self.done += amount
        if self.done >= self.limit:
            raise self.error

    def finish(self, task: int) -> None:
        self.finished += 1


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "cohere2"])
def test_the_loss_of_a_batch_is_plain_cross_entropy_on_the_targets(
    make_tiny: MakeTiny, family: str, tmp_path: Path
) -> None:
    lm = make_tiny(family)
    examples = examples_of(lm)
    trainer = TargetTrainer(
        model=lm.base(), args=TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    )
    with torch.no_grad():
        loss = trainer.compute_loss(lm.base(), collate(examples, pad_token=0))
    assert float(loss) == pytest.approx(plain_loss(lm, examples), rel=1e-5)


def test_the_logged_loss_is_the_mean_over_target_tokens(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """One step over all examples, at once and accumulated: the same loss and the same gradient."""
    lm = make_tiny()
    expected = plain_loss(lm, examples_of(lm))
    (at_once,) = train(lm, tmp_path / "once", WHOLE_SET)[1]
    assert at_once["loss"] == pytest.approx(expected, rel=1e-4)
    parts = WHOLE_SET.model_copy(update={"batch_size": 4, "accumulation": 4})
    (in_parts,) = train(make_tiny(), tmp_path / "parts", parts)[1]
    assert in_parts["loss"] == pytest.approx(expected, rel=1e-4)
    assert in_parts["grad_norm"] == pytest.approx(at_once["grad_norm"], rel=1e-3)


def test_training_lowers_the_loss_and_leaves_the_base_alone(
    make_tiny: MakeTiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lm = make_tiny()
    examples, before = examples_of(lm), plain_loss(lm, examples_of(lm))
    weights = {name: tensor.clone() for name, tensor in lm.base().state_dict().items()}
    recorder = Recorder()
    with reporting(recorder):
        tuned, log = train(lm, tmp_path)
    after = plain_loss(tuned, examples)
    assert after < 0.8 * before
    assert recorder.started == [("Teaching the tiny model", STEPS)]
    assert (recorder.done, recorder.finished) == (STEPS, 1)
    assert [row["step"] for row in log] == list(range(1, STEPS + 1))
    assert log[0]["loss"] > log[-1]["loss"]
    # Cosine decay: the rate at the end of step k + 1 is lr (1 + cos(pi k / steps)) / 2, before the step is counted.
    rates = [1e-2 * (1 + torch.cos(torch.tensor(torch.pi * k / STEPS)).item()) / 2 for k in range(STEPS)]
    assert [row["learning_rate"] for row in log] == pytest.approx(rates, rel=1e-4)
    assert not tuned.model.training
    assert tuned.base().config._attn_implementation == "sdpa"
    with tuned.model.disable_adapter():
        assert plain_loss(tuned, examples) == pytest.approx(before, rel=1e-6)
    for name, tensor in tuned.base().state_dict().items():
        if "lora_" not in name:
            assert torch.equal(tensor, weights[name.replace("base_layer.", "")])
    reloaded = load_adapter(make_tiny(), tmp_path / "adapter")
    assert plain_loss(reloaded, examples) == pytest.approx(after, rel=1e-6)
    assert capfd.readouterr().out == ""


def test_a_killed_run_resumes_to_the_same_adapter(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """Killed before the first checkpoint, at an epoch's end and within an epoch; dropout is on.

    The last kill falls into the writing of a checkpoint: the Trainer's own state, which is written last, is missing.
    """
    _, log = train(make_tiny(), tmp_path / "whole")
    whole = saved(tmp_path / "whole")
    for killed_after, cut_short in ((1, False), (5, False), (11, False), (7, True)):
        folder = tmp_path / f"killed{killed_after}"
        with reporting(Recorder(limit=killed_after)), pytest.raises(KeyboardInterrupt):
            train(make_tiny(), folder)
        assert not (folder / "adapter").exists()
        if cut_short:
            checkpoints = folder / "checkpoints"
            shutil.copytree(checkpoints / "checkpoint-6", checkpoints / "checkpoint-8")
            (checkpoints / "checkpoint-8" / "trainer_state.json").unlink()
            (checkpoints / "checkpoint-8" / "optimizer.pt").unlink()
        resumed = Recorder()
        with reporting(resumed):
            _, resumed_log = train(make_tiny(), folder)
        assert resumed.done == STEPS
        assert resumed_log == log
        killed = saved(folder)
        assert whole.keys() == killed.keys()
        assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_the_seed_decides_the_adapter(make_tiny: MakeTiny, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1})
    lm = make_tiny()
    runs = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        fresh = make_tiny()
        train_adapter(
            fresh, examples_of(lm), settings, tmp_path / name, precision="float32", seed=seed, description="x"
        )
        runs[name] = saved(tmp_path / name)
    assert all(torch.equal(runs["a"][name], runs["b"][name]) for name in runs["a"])
    assert any(not torch.equal(runs["a"][name], runs["c"][name]) for name in runs["a"])


def test_a_loss_that_is_not_finite_ends_the_run(make_tiny: MakeTiny, tmp_path: Path) -> None:
    lm = make_tiny()
    with torch.no_grad():
        lm.base().lm_head.weight[7] = float("nan")
    before: Any = lm.base().config._attn_implementation
    with pytest.raises(WorkbenchError, match=r"became NaN or infinite.*Lower teach\.learning_rate"):
        train(lm, tmp_path)
    assert lm.base().config._attn_implementation == before
