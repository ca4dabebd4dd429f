"""LoRA training on confidence targets, with the transformers Trainer and PEFT.

The loss is by default the cross-entropy of what should follow at the confidence position (see
:mod:`workbench.teach.examples`), averaged over the rows of a step; others are in :mod:`workbench.teach.losses`. An adapter on the reply alone stands on keys and values of the
base model, which no step can change: they are computed once, and a step costs the reply's tokens. The Trainer writes
checkpoints; a run that was killed resumes from the last one with the random state it had, and gives the result of an
uninterrupted run on the same machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.helpers import disable_input_dtype_casting
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset, Sampler
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from workbench import progress
from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.precision import Precision, resolve_precision, weights_in_bfloat16
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter
from workbench.teach.batch import inputs_of
from workbench.teach.dropout import POOL, MaskPool, use_pooled_dropout
from workbench.teach.examples import Example
from workbench.teach.losses import Loss, cross_entropy
from workbench.trace.kept import Kept
from workbench.trace.prefixes import Prefixes

BESIDE_FILE = "beside.safetensors"


@dataclass(frozen=True, eq=False)
class Reply:
    """An adapter's reach: it acts on ``tokens`` at every prompt's end and on what follows.

    Attributes:
        rows: number of each example in ``prefixes``.
        prefixes: keys and values of what stands before, under the base model.
    """

    tokens: tuple[int, ...]
    rows: Sequence[int]
    prefixes: Prefixes


class Numbers(Dataset[dict[str, int]]):
    """The numbers of the examples; a batch is built where the model is."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"row": index}


class SeededOrder(Sampler[int]):
    """Rows in random order; the order depends on seed and epoch alone.

    The Trainer's own sampler draws from the global random state, which a run resumed within an epoch does not have. Rows of
    similar length do not go together: length tells the domain, and steps that each see one domain teach its level only.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(self.count, generator=generator).tolist())


class TargetTrainer(Trainer):
    """A Trainer that builds its batches from examples and whose batches a resumed run repeats."""

    def __init__(
        self,
        lm: LanguageModel,
        examples: Sequence[Example],
        loss: Loss,
        reply: Reply | None,
        rate_ratio: float,
        beside: nn.Module | None,
        **options: Any,
    ) -> None:
        super().__init__(train_dataset=Numbers(len(examples)), data_collator=_rows, **options)
        self.lm, self.examples, self.reply, self.rate_ratio = lm, examples, reply, rate_ratio
        self.loss, self.beside = loss, beside
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        return SeededOrder(len(self.examples), self.args.seed)

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW with the B matrices at ``rate_ratio`` times the rate (LoRA+, Hayou et al. 2024, arXiv 2402.12354).

        B starts at zero, and at one rate for both the first half of a short training goes by before A has anything to do.
        """
        self.optimizer = create_loraplus_optimizer(
            model=self.model,
            optimizer_cls=torch.optim.AdamW,
            lr=self.args.learning_rate,
            loraplus_lr_ratio=self.rate_ratio,
            loraplus_weight_decay=self.args.weight_decay,
        )
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
        examples = [self.examples[number] for number in numbers]
        tokens = () if self.reply is None else self.reply.tokens
        outputs = model(**inputs_of(self.lm, examples, self._kept(numbers), tokens))
        loss = self.loss(numbers, outputs.logits)
        if not bool(torch.isfinite(loss)):
            raise WorkbenchError(
                "The training loss became NaN or infinite; the last checkpoint is kept. Lower teach.learning_rate "
                "or use float32 precision, then run again."
            )
        return (loss, outputs) if return_outputs else loss

    def _kept(self, numbers: list[int]) -> Kept | None:
        if self.reply is None:
            return None
        length = len(self.reply.tokens)
        rows = np.array([self.reply.rows[number] for number in numbers])
        return self.reply.prefixes.kept(self.lm, rows, [self.examples[n].prompt[:-length] for n in numbers])


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
    reply: Reply | None = None,
    loss: Loss | None = None,
    beside: nn.Module | None = None,
) -> tuple[LanguageModel, list[dict[str, float]]]:
    """Train a new adapter on ``examples`` and save it to ``folder / "adapter"``.

    Args:
        reply: the adapter acts on the reply alone; None: on every token.
        loss: of a batch's example numbers and logits; None: cross-entropy of what should follow at the examples' places.
        beside: a module that the loss uses and that is trained with the adapter; its last state is left in it, not saved.

    Returns:
        The model with the adapter on, in evaluation mode, and the Trainer's log rows (step, loss, learning rate).
    """
    torch.manual_seed(seed)
    tuned = add_adapter(lm, settings.lora)
    if beside is not None:
        tuned.model.add_module("beside", beside)
    pool = use_pooled_dropout(tuned.model, settings.lora.dropout) if lm.device.type == "cpu" else None
    checkpoints = folder / "checkpoints"
    trainer = TargetTrainer(
        tuned,
        examples,
        loss or cross_entropy(examples),
        reply,
        settings.rate_ratio,
        beside,
        model=tuned.model,
        args=_arguments(settings, checkpoints, lm.device, precision, seed),
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
    save_adapter(tuned, folder / "adapter", reply.tokens if reply else None)
    log = [
        {"step": row["step"], **{k: row[k] for k in ("loss", "learning_rate", "grad_norm")}}
        for row in trainer.state.log_history
        if "loss" in row
    ]
    return load_adapter(remove_adapter(tuned), folder / "adapter"), log


def _rows(items: list[dict[str, int]]) -> dict[str, Tensor]:
    return {"rows": torch.tensor([item["row"] for item in items])}


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
        weight_decay=settings.weight_decay,
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
