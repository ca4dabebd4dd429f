"""Run the trainers that are compared: the workbench's, and TRL's SFTTrainer on the same examples.

Both start from the same adapter (made by the same code from the same seed), see the same batches in
the same order, and take the same number of steps with the same optimiser, rates and clipping. TRL
gets the settings that suit it: token ids with labels made beforehand, the workbench's batches of
similar length, no gradient checkpointing (which trades time for memory), no packing (which needs
kernels that a CPU lacks), no checkpoints, and the attention kernel that is the faster one for it.

The loss is that of the target text alone for both. The time is that of the whole training: adapter,
trainer, what is computed once, steps, and the saved adapter.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from workbench.bench.timing import seconds
from workbench.compat import attention_kernel
from workbench.config import TeachSettings
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter, remove_adapter
from workbench.teach.examples import Example
from workbench.teach.sampler import SeededOrder
from workbench.teach.target_trainer import loraplus
from workbench.teach.training import first_layer, train_adapter
from workbench.teach.training_forward import Passes

IGNORED = -100
TRL_MISSING = (
    "trl is not installed, so it was not measured: pip install 'confidence-workbench[bench]'."
)
TRL_ATTENTION = "eager"


@dataclass(frozen=True)
class Trained:
    """The result of a training: its ``seconds`` and the loss of every step."""

    seconds: float
    losses: tuple[float, ...]


Trainer = Callable[[LanguageModel, Sequence[Example], TeachSettings, int], Trained]
"""A training function of a base model, examples, settings and a seed; it leaves the model
unchanged.
"""


def trl_installed() -> bool:
    return find_spec("trl") is not None


def train_here(
    lm: LanguageModel, examples: Sequence[Example], settings: TeachSettings, seed: int
) -> Trained:
    """Train with :func:`workbench.teach.train_adapter`, in the model's precision."""
    log: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:

        def train() -> None:
            tuned, rows = train_adapter(
                lm, examples, settings, Path(folder), seed=seed, description="training"
            )
            remove_adapter(tuned)
            log.extend(rows)

        taken = seconds(train)
    return Trained(taken, tuple(row["loss"] for row in log))


def train_with_trl(
    lm: LanguageModel, examples: Sequence[Example], settings: TeachSettings, seed: int
) -> Trained:
    """Train with TRL's SFTTrainer, in the model's precision."""
    log: list[dict[str, float]] = []
    ordered = [examples[number] for number in _order(lm, examples, settings, seed)]
    with tempfile.TemporaryDirectory() as folder, _quiet():

        def train() -> None:
            tuned = _start(lm, settings, seed)
            base = tuned.base()
            kernel = attention_kernel(base)
            base.set_attn_implementation(TRL_ATTENTION)
            try:
                trainer = _sft_trainer(tuned, ordered, settings, seed, folder)
                trainer.train()
                trainer.save_model(folder)
                log.extend(row for row in trainer.state.log_history if "loss" in row)
            finally:
                base.set_attn_implementation(kernel)
                base.__dict__.pop("forward", None)
                remove_adapter(tuned)

        taken = seconds(train)
    return Trained(taken, tuple(row["loss"] for row in log))


def _start(lm: LanguageModel, settings: TeachSettings, seed: int) -> LanguageModel:
    """Return the model with the adapter that :func:`workbench.teach.train_adapter` starts from."""
    torch.manual_seed(seed)
    return add_adapter(lm, settings.lora, first_layer(settings, lm.n_layers))


def _order(
    lm: LanguageModel, examples: Sequence[Example], settings: TeachSettings, seed: int
) -> list[int]:
    """Return the rows of all epochs in the order in which the workbench sees them."""
    order = SeededOrder(Passes(lm, examples, None, 0, 0).lengths, settings.batch_size, seed)
    rows: list[int] = []
    for epoch in range(settings.epochs):
        order.set_epoch(epoch)
        rows += list(order)
    return rows


def _sft_trainer(
    tuned: LanguageModel,
    ordered: Sequence[Example],
    settings: TeachSettings,
    seed: int,
    folder: str,
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        bf16=tuned.precision == "bfloat16",
        use_cpu=tuned.device.type == "cpu",
        gradient_checkpointing=False,
        completion_only_loss=True,
        max_length=None,
        seed=seed,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=tuned.device.type == "cuda",
    )
    trainer = SFTTrainer(
        model=tuned.model,
        args=arguments,
        train_dataset=Dataset.from_list([_row(example) for example in ordered]),
        processing_class=tuned.tokenizer,
        optimizers=(
            loraplus(
                tuned.model,
                settings.learning_rate,
                settings.loraplus_lr_ratio,
                settings.weight_decay,
            ),
            None,
        ),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def _row(example: Example) -> dict[str, list[int]]:
    """Return the conversation with its target text as one string, and labels at the target alone;
    the last token is a target too.
    """
    target = [place.tokens[0] for place in example.places]
    return {
        "input_ids": [*example.prompt, *target],
        "labels": [IGNORED] * len(example.prompt) + target,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the data library's progress bars inside the block."""
    import datasets

    before = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if before:
            datasets.enable_progress_bars()
