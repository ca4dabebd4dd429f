"""LoRA training on confidence targets, with the transformers Trainer and PEFT.

The loss is by default the cross-entropy of what should follow at the confidence position (see
:mod:`workbench.teach.examples`), averaged over the rows of a step; others are in :mod:`workbench.teach.losses`. What a step cannot change is computed once (see :mod:`workbench.teach.training_forward`): keys and values of
what stands before an adapter on the reply alone, states behind the layers below an adapter that begins higher up. The Trainer
writes checkpoints; a run that was killed resumes from the last one with the random state it had, and gives the result of an
uninterrupted run on the same machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from peft.helpers import disable_input_dtype_casting
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter, begin_with, load_adapter, remove_adapter, save_adapter
from workbench.teach.callbacks import RenewMasks, SoundCheckpoints, quiet
from workbench.teach.checkpoints import KEPT, diverged, drop_damaged, kept_on_file_errors, last_checkpoint
from workbench.teach.dropout import use_pooled_dropout
from workbench.teach.examples import Example
from workbench.teach.losses import Loss, cross_entropy
from workbench.teach.sampler import SeededOrder
from workbench.teach.training_forward import Passes, Reply

TOKENS = "tokens"
BESIDE_FILE = "beside.safetensors"


class Numbers(Dataset[dict[str, int]]):
    """The numbers of the examples; a batch is built where the model is."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"row": index}


class TargetTrainer(Trainer):
    """A Trainer that builds its batches from examples and whose batches a resumed run repeats.

    It logs the tokens computed so far and the means of what is ``measured`` over a step's batches.
    """

    def __init__(
        self,
        passes: Passes,
        loss: Loss,
        rate_ratio: float,
        beside: nn.Module | None,
        measured: Mapping[str, Loss],
        **options: Any,
    ) -> None:
        super().__init__(train_dataset=Numbers(len(passes.examples)), data_collator=_rows, **options)
        self.passes, self.loss, self.rate_ratio, self.beside = passes, loss, rate_ratio, beside
        self.measured, self.found = measured, {name: list[float]() for name in measured}
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        return SeededOrder(self.passes.lengths, self.args.per_device_train_batch_size, self.args.seed)

    def create_optimizer(self, model: Any = None) -> Any:
        self.optimizer = loraplus(self.model, self.args.learning_rate, self.rate_ratio, self.args.weight_decay)
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.beside is not None:
            save_file(self.beside.state_dict(), Path(output_dir or self.args.output_dir) / BESIDE_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.beside is not None:
            self.beside.load_state_dict(load_file(Path(resume_from_checkpoint) / BESIDE_FILE))

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        numbers = inputs["rows"].tolist()
        logits = self.passes.logits(model, numbers)
        loss = self.loss(numbers, logits)
        if not bool(torch.isfinite(loss)):
            raise diverged(Path(self.args.output_dir), self.state.global_step)
        self._measure(numbers, logits.detach())
        return (loss, {"logits": logits}) if return_outputs else loss

    def _measure(self, numbers: Sequence[int], logits: Tensor) -> None:
        # The state is saved with every checkpoint, so a resumed run goes on counting.
        self.state.num_input_tokens_seen += self.passes.tokens(numbers)
        for name, measure in self.measured.items():
            self.found[name].append(float(measure(numbers, logits)))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            means = {name: float(np.mean(values)) for name, values in self.found.items()}
            logs = {**logs, **means, TOKENS: self.state.num_input_tokens_seen}
            self.found = {name: [] for name in self.found}
        super().log(logs, start_time)


def loraplus(model: Any, learning_rate: float, rate_ratio: float, weight_decay: float) -> Any:
    """AdamW with the B matrices at ``rate_ratio`` times the rate (LoRA+, Hayou et al. 2024, arXiv 2402.12354).

    B starts at zero, and at one rate for both the first half of a short training goes by before A has anything to do.
    """
    return create_loraplus_optimizer(
        model=model,
        optimizer_cls=torch.optim.AdamW,
        lr=learning_rate,
        loraplus_lr_ratio=rate_ratio,
        loraplus_weight_decay=weight_decay,
    )


def check_counts_epochs(settings: TeachSettings) -> None:
    """Raise WorkbenchError where a number of updates is set, which training on examples does not count."""
    if settings.steps is not None:
        raise WorkbenchError(
            "teach.steps counts the updates of arms that sample replies; set teach.epochs for the others."
        )


def train_adapter(
    lm: LanguageModel,
    examples: Sequence[Example],
    settings: TeachSettings,
    folder: Path,
    *,
    seed: int,
    description: str,
    reply: Reply | None = None,
    loss: Loss | None = None,
    beside: nn.Module | None = None,
    start: Path | None = None,
    measured: Mapping[str, Loss] = MappingProxyType({}),
    tokens_beside: Sequence[int] = (),
) -> tuple[LanguageModel, list[dict[str, float]]]:
    """Train a new adapter on ``examples`` and save it to ``folder / "adapter"``.

    Args:
        settings: with ``from_layer`` a number.
        reply: the adapter acts on the reply alone; None: on every token.
        loss: of a batch's example numbers and logits; None: cross-entropy of what should follow at the examples' places.
        beside: a module that the loss uses and that is trained with the adapter; its last state is left in it, not saved.
        start: folder of an adapter of the same shape, with whose weights the new one begins; None: with LoRA's own.
        measured: what else is logged of each step, by name; of the same arguments as a loss, and not trained on.
        tokens_beside: [n] tokens of the passes that the loss makes for each example, to be counted; none where it makes none.

    Returns:
        The model with the adapter on, in evaluation mode, and the Trainer's log rows (step, loss, learning rate, tokens so far, what
        is measured). Tokens count once for each pass, forward and back together.
    """
    check_counts_epochs(settings)
    first = first_layer(settings)
    torch.manual_seed(seed)
    tuned = add_adapter(lm, settings.lora, first)
    if start is not None:
        begin_with(tuned, start)
    if beside is not None:
        tuned.model.add_module("beside", beside)
    try:
        passes = Passes(tuned, examples, reply, first, settings.states_bytes, tokens_beside)
        trainer = _trainer(
            passes,
            loss or cross_entropy(examples),
            beside,
            measured,
            settings,
            folder / "checkpoints",
            seed,
            description,
        )
        with kept_on_file_errors(folder / "checkpoints"):
            log = _train(trainer, settings, description)
            save_adapter(tuned, folder / "adapter", reply.tokens if reply else None)
    finally:
        plain = remove_adapter(tuned)
    return load_adapter(plain, folder / "adapter"), log


def _trainer(
    passes: Passes,
    loss: Loss,
    beside: nn.Module | None,
    measured: Mapping[str, Loss],
    settings: TeachSettings,
    checkpoints: Path,
    seed: int,
    description: str,
) -> TargetTrainer:
    tuned = passes.lm
    pool = use_pooled_dropout(tuned.model, settings.lora.dropout) if tuned.device.type == "cpu" else None
    trainer = TargetTrainer(
        passes,
        loss,
        settings.rate_ratio,
        beside,
        measured,
        model=tuned.model,
        args=_arguments(settings, checkpoints, tuned.device, seed),
        callbacks=[SoundCheckpoints(checkpoints), *([RenewMasks(pool)] if pool else [])],
    )
    quiet(trainer, description)
    return trainer


def _train(trainer: TargetTrainer, settings: TeachSettings, description: str) -> list[dict[str, float]]:
    """The Trainer's log rows of a training that goes on where its last checkpoint is."""
    passes, checkpoints = trainer.passes, Path(trainer.args.output_dir)
    tuned = passes.lm
    drop_damaged(checkpoints)
    last = last_checkpoint(checkpoints)
    # Autocast decides the dtype of the adapter's products; PEFT's own cast to float32 in front of it is a wasted copy.
    lower = tuned.precision == "bfloat16"
    with _short_attention(tuned), disable_input_dtype_casting(tuned.model, active=lower):
        passes.fill(settings.batch_size * max(passes.sizes), f"{description}: the layers below")
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return [
        {"step": row["step"], **{k: row[k] for k in ("loss", "learning_rate", "grad_norm", TOKENS, *trainer.measured)}}
        for row in trainer.state.log_history
        if "loss" in row
    ]


def _rows(items: list[dict[str, int]]) -> dict[str, Tensor]:
    return {"rows": torch.tensor([item["row"] for item in items])}


def first_layer(settings: TeachSettings) -> int:
    """The layer at which the adapter begins; an error where it is still to be found from a patching curve."""
    if not isinstance(settings.from_layer, int):
        raise WorkbenchError(
            "teach.from_layer=patching asks for a patching curve, which only a run of the whole loop makes; give the number of "
            "a layer."
        )
    return settings.from_layer


def _arguments(settings: TeachSettings, folder: Path, device: torch.device, seed: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        use_cpu=device.type == "cpu",
        seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=KEPT,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )


@contextmanager
def _short_attention(lm: LanguageModel) -> Iterator[None]:
    """Plain attention while training on a CPU, where it is faster than the fused kernel's backward on short rows."""
    model = lm.base()
    before = model.config._attn_implementation
    if lm.device.type == "cpu":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
