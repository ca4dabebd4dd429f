"""LoRA training on confidence targets, with the transformers Trainer and PEFT.

The loss is cross-entropy on the target tokens (number, ending, end of turn), averaged over those tokens of a step. Batches
group rows of similar length. The Trainer writes checkpoints; a run that was killed resumes from the last one with the
random state it had, and gives the result of an uninterrupted run on the same machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from peft.helpers import disable_input_dtype_casting
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.trainer_utils import get_last_checkpoint

from workbench import progress
from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.precision import Precision, resolve_precision, weights_in_bfloat16
from workbench.teach.adapter import add_adapter
from workbench.teach.dropout import POOL, MaskPool, use_pooled_dropout
from workbench.teach.examples import IGNORED, Example, collate


class ExampleSet(Dataset[dict[str, Any]]):
    """Examples, each with the tokens whose number the Trainer groups by."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        example = self.examples[index]
        return {"example": example, "input_ids": example.prompt + example.target}


def target_loss(logits: Tensor, labels: Tensor, items: Tensor | int | None) -> Tensor:
    """Cross-entropy over labelled tokens, divided by ``items`` (the labelled tokens of the whole step) or their mean.

    Args:
        logits: [rows, kept, vocab].
        labels: [rows, kept], IGNORED where nothing is to be learned.
    """
    flat = logits.float().flatten(0, 1), labels.flatten()
    if items is None:
        return functional.cross_entropy(*flat, ignore_index=IGNORED)
    return functional.cross_entropy(*flat, ignore_index=IGNORED, reduction="sum") / items


class LengthGroups(Sampler[int]):
    """Rows in random order with similar lengths together; the order depends on seed and epoch alone.

    The Trainer's own sampler draws from the global random state, which a run resumed within an epoch does not have.
    """

    def __init__(self, lengths: Sequence[int], group: int, seed: int) -> None:
        self.lengths, self.group, self.seed = list(lengths), group, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(get_length_grouped_indices(self.lengths, self.group, generator=generator))


class TargetTrainer(Trainer):
    """A Trainer whose loss needs logits at the target columns alone and whose batches a resumed run repeats."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroups:
        group = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroups([len(e.prompt) + len(e.target) for e in self.train_dataset.examples], group, self.args.seed)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        labels = inputs.pop("labels")
        inputs.pop("shift_labels", None)
        columns = inputs["input_ids"].shape[1]
        kept = torch.arange(columns - labels.shape[1], columns, device=labels.device)
        outputs = model(**inputs, logits_to_keep=kept, use_cache=False)
        loss = target_loss(outputs.logits, labels, num_items_in_batch)
        if not bool(torch.isfinite(loss)):
            raise WorkbenchError(
                "The training loss became NaN or infinite; the last checkpoint is kept. Lower teach.learning_rate "
                "or use float32 precision, then run again."
            )
        return (loss, outputs) if return_outputs else loss


class _Progress(TrainerCallback):
    def __init__(self, description: str) -> None:
        self.description = description
        self.task: progress.Task | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.task = progress.Task(self.description, state.max_steps)
        self.task.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.task:
            self.task.advance()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.task:
            self.task.finish()


class _RenewMasks(TrainerCallback):
    """A new pool of dropout masks at every step, so that a resumed run draws what an uninterrupted one does."""

    def __init__(self, pool: MaskPool) -> None:
        self.pool = pool

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pool.renew(POOL)


def train_adapter(
    lm: LanguageModel,
    examples: Sequence[Example],
    settings: TeachSettings,
    folder: Path,
    *,
    precision: Precision,
    seed: int,
    description: str,
) -> tuple[LanguageModel, list[dict[str, float]]]:
    """Train a new adapter on ``examples`` and save it to ``folder / "adapter"``.

    Returns:
        The model with the adapter on, in evaluation mode, and the Trainer's log rows (step, loss, learning rate).
    """
    torch.manual_seed(seed)
    tuned = add_adapter(lm, settings.lora)
    pool = use_pooled_dropout(tuned.model, settings.lora.dropout) if lm.device.type == "cpu" else None
    checkpoints = folder / "checkpoints"
    trainer = TargetTrainer(
        model=tuned.model,
        args=_arguments(settings, checkpoints, lm.device, precision, seed),
        train_dataset=ExampleSet(examples),
        data_collator=lambda rows: _batch([row["example"] for row in rows], lm.tokenizer.pad_token_id),
        callbacks=[_Progress(description), *([_RenewMasks(pool)] if pool else [])],
    )
    _drop_printers(trainer)
    _drop_unfinished(checkpoints)
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    # Autocast decides the dtype of the adapter's products; PEFT's own cast to float32 in front of it is a wasted copy.
    lower = resolve_precision(precision, lm.device) == "bfloat16"
    weights = weights_in_bfloat16(tuned) if lower else nullcontext()
    with weights, _short_attention(tuned), disable_input_dtype_casting(tuned.model, active=lower):
        trainer.train(resume_from_checkpoint=last)
    tuned.model.eval()
    tuned.model.save_pretrained(folder / "adapter")
    log = [
        {"step": row["step"], **{k: row[k] for k in ("loss", "learning_rate", "grad_norm")}}
        for row in trainer.state.log_history
        if "loss" in row
    ]
    return tuned, log


def _batch(examples: Sequence[Example], pad_token: int) -> dict[str, Tensor]:
    """``collate``, telling the Trainer that labels are aligned with the columns that predict them when it counts them."""
    batch = collate(examples, pad_token)
    return {**batch, "shift_labels": batch["labels"]}


def _drop_unfinished(checkpoints: Path) -> None:
    """Remove checkpoints that a killed process did not finish; the Trainer writes its state last."""
    for folder in checkpoints.glob("checkpoint-*"):
        if not (folder / "trainer_state.json").exists():
            shutil.rmtree(folder)


def _arguments(
    settings: TeachSettings, folder: Path, device: torch.device, precision: Precision, seed: int
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        bf16=resolve_precision(precision, device) == "bfloat16",
        use_cpu=device.type == "cpu",
        seed=seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=device.type == "cuda",
    )


def _drop_printers(trainer: Trainer) -> None:
    """Take out the callbacks that print; progress goes through the workbench's own reporter."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)


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
