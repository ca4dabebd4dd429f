"""LoRA training on confidence targets, with the transformers Trainer and PEFT.

The loss is by default the cross-entropy of what should follow at the confidence position (see
:mod:`workbench.teach.examples`), averaged over the rows of a step; others are in
:mod:`workbench.teach.losses`. What a step cannot change is computed once (see
:mod:`workbench.teach.training_forward`): keys and values of what stands before an adapter on the
reply alone, states behind the layers below an adapter that begins higher up. The Trainer writes
checkpoints; a run that was killed resumes from the last one with the random state it had, and gives
the result of an uninterrupted run on the same machine.
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
from workbench.teach.adapter import (
    add_adapter,
    initialise_from,
    load_adapter,
    remove_adapter,
    save_adapter,
)
from workbench.teach.callbacks import RenewMasks, SoundCheckpoints, quiet
from workbench.teach.checkpoints import (
    KEPT,
    diverged,
    drop_damaged,
    kept_on_file_errors,
    last_checkpoint,
)
from workbench.teach.dropout import use_pooled_dropout
from workbench.teach.examples import Example
from workbench.teach.losses import Loss, cross_entropy
from workbench.teach.sampler import SeededOrder
from workbench.teach.training_forward import Passes, Reply

TOKENS = "tokens"
EXTRA_MODULE_FILE = "beside.safetensors"


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
        loraplus_lr_ratio: float,
        extra_module: nn.Module | None,
        measured: Mapping[str, Loss],
        **options: Any,
    ) -> None:
        super().__init__(
            train_dataset=Numbers(len(passes.examples)), data_collator=_rows, **options
        )
        self.passes, self.loss, self.loraplus_lr_ratio, self.extra_module = (
            passes,
            loss,
            loraplus_lr_ratio,
            extra_module,
        )
        self.measured, self.found = measured, {name: list[float]() for name in measured}
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        return SeededOrder(
            self.passes.lengths, self.args.per_device_train_batch_size, self.args.seed
        )

    def create_optimizer(self, model: Any = None) -> Any:
        self.optimizer = loraplus(
            self.model, self.args.learning_rate, self.loraplus_lr_ratio, self.args.weight_decay
        )
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.extra_module is not None:
            save_file(
                self.extra_module.state_dict(),
                Path(output_dir or self.args.output_dir) / EXTRA_MODULE_FILE,
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.extra_module is not None:
            self.extra_module.load_state_dict(
                load_file(Path(resume_from_checkpoint) / EXTRA_MODULE_FILE)
            )

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


def loraplus(
    model: Any, learning_rate: float, loraplus_lr_ratio: float, weight_decay: float
) -> Any:
    """AdamW with the B matrices at ``loraplus_lr_ratio`` times the rate (LoRA+, Hayou et al. 2024,
    arXiv 2402.12354).

    B starts at zero, and at one rate for both the first half of a short training goes by before A
    has anything to do.
    """
    return create_loraplus_optimizer(
        model=model,
        optimizer_cls=torch.optim.AdamW,
        lr=learning_rate,
        loraplus_lr_ratio=loraplus_lr_ratio,
        loraplus_weight_decay=weight_decay,
    )


def check_counts_epochs(settings: TeachSettings) -> None:
    """Raise WorkbenchError where a number of updates is set, which training on examples does not
    count.
    """
    if settings.on_policy_steps is not None:
        raise WorkbenchError(
            "teach.on_policy_steps counts the updates of arms that sample replies; set "
            "teach.epochs for the others."
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
    extra_module: nn.Module | None = None,
    init_from: Path | None = None,
    logged: Mapping[str, Loss] = MappingProxyType({}),
    extra_tokens: Sequence[int] = (),
) -> tuple[LanguageModel, list[dict[str, float]]]:
    """Train a new adapter on ``examples`` and save it to ``folder / "adapter"``.

    Args:
        settings: with ``start_layer`` a number.
        reply: the adapter acts on the reply alone; None: on every token.
        loss: of a batch's example numbers and logits; None: cross-entropy of what should follow at
            the examples' places.
        beside: a module that the loss uses and that is trained with the adapter; its last state is
            left in it, not saved.
        start: folder of an adapter of the same shape, with whose weights the new one begins; None:
            with LoRA's own.
        measured: what else is logged of each step, by name; of the same arguments as a loss, and
            not trained on.
        tokens_beside: [n] tokens of the passes that the loss makes for each example, to be counted;
            none where it makes none.

    Returns:
        The model with the adapter on, in evaluation mode, and the Trainer's log rows (step, loss,
        learning rate, tokens so far, what
        is measured). Tokens count once for each pass, forward and back together.
    """
    check_counts_epochs(settings)
    first = first_layer(settings)
    torch.manual_seed(seed)
    tuned = add_adapter(lm, settings.lora, first)
    if init_from is not None:
        initialise_from(tuned, init_from)
    if extra_module is not None:
        tuned.model.add_module("extra", extra_module)
    try:
        passes = Passes(
            tuned, examples, reply, first, settings.activation_cache_bytes, extra_tokens
        )
        trainer = _trainer(
            passes,
            loss or cross_entropy(examples),
            extra_module,
            logged,
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
    extra_module: nn.Module | None,
    measured: Mapping[str, Loss],
    settings: TeachSettings,
    checkpoints: Path,
    seed: int,
    description: str,
) -> TargetTrainer:
    tuned = passes.lm
    pool = (
        use_pooled_dropout(tuned.model, settings.lora.dropout)
        if tuned.device.type == "cpu"
        else None
    )
    trainer = TargetTrainer(
        passes,
        loss,
        settings.loraplus_lr_ratio,
        extra_module,
        measured,
        model=tuned.model,
        args=_arguments(settings, checkpoints, tuned.device, seed),
        callbacks=[SoundCheckpoints(checkpoints), *([RenewMasks(pool)] if pool else [])],
    )
    quiet(trainer, description)
    return trainer


def _train(
    trainer: TargetTrainer, settings: TeachSettings, description: str
) -> list[dict[str, float]]:
    """The Trainer's log rows of a training that goes on where its last checkpoint is."""
    passes, checkpoints = trainer.passes, Path(trainer.args.output_dir)
    tuned = passes.lm
    drop_damaged(checkpoints)
    last = last_checkpoint(checkpoints)
    # Autocast decides the dtype of the adapter's products; PEFT's own cast to float32 in front of
    # it is a wasted copy.
    lower = tuned.precision == "bfloat16"
    with _short_attention(tuned), disable_input_dtype_casting(tuned.model, active=lower):
        passes.fill(settings.batch_size * max(passes.sizes), f"{description}: the layers below")
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    return [
        {
            "step": row["step"],
            **{
                k: row[k] for k in ("loss", "learning_rate", "grad_norm", TOKENS, *trainer.measured)
            },
        }
        for row in trainer.state.log_history
        if "loss" in row
    ]


def _rows(items: list[dict[str, int]]) -> dict[str, Tensor]:
    return {"rows": torch.tensor([item["row"] for item in items])}


def first_layer(settings: TeachSettings) -> int:
    """The layer at which the adapter begins; an error where it is still to be found from a
    patching curve.
    """
    if not isinstance(settings.start_layer, int):
        raise WorkbenchError(
            "teach.start_layer=patching asks for a patching curve, which only a run of the whole "
            "loop makes; give the number of "
            "a layer."
        )
    return settings.start_layer


def _arguments(
    settings: TeachSettings, folder: Path, device: torch.device, seed: int
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
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
    """Plain attention while training on a CPU, where it is faster than the fused kernel's
    backward on short rows.
    """
    model = lm.base()
    before = model.config._attn_implementation
    if lm.device.type == "cpu":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
