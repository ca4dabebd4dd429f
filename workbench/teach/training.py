"""Train LoRA on confidence targets, with the transformers Trainer and PEFT.

The loss is by default the cross-entropy of what should follow at the confidence position (see
:mod:`workbench.teach.examples`), averaged over the rows of a step; others are in
:mod:`workbench.teach.losses`. What a step cannot change is computed once (see
:mod:`workbench.teach.training_forward`): keys and values of what precedes an adapter on the reply
alone, and states after the layers below an adapter that begins higher up. The Trainer writes
checkpoints; a run that was killed resumes from the last one with the random state it had, and gives
the result of an uninterrupted run on the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch
from peft.helpers import disable_input_dtype_casting
from torch import nn
from transformers import TrainingArguments

from workbench.compat import attention_kernel
from workbench.compat_processes import alone_in_training, make_whole
from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.files.processes import launched_processes
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
    drop_damaged,
    kept_on_file_errors,
    last_checkpoint,
)
from workbench.teach.dropout import MaskPool, pooled_dropout
from workbench.teach.examples import Example
from workbench.teach.losses import Loss, cross_entropy
from workbench.teach.streamed_training import StreamedTrainer, largest_input, trained_layers
from workbench.teach.target_trainer import TOKENS, TargetTrainer
from workbench.teach.training_forward import Passes, Reply


def check_counts_epochs(settings: TeachSettings) -> None:
    """Refuse settings with a number of updates, which training on examples does not count.

    Raises:
        WorkbenchError: if one is set.
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
        settings: with a ``start_layer`` that needs no patching.
        reply: the adapter acts on the reply alone; None: on every token.
        loss: of a batch's example numbers and logits; None: cross-entropy of what should follow at
            the examples' places.
        extra_module: a module that the loss uses and that is trained with the adapter; its last
            state stays in it and is not saved.
        init_from: folder of an adapter of the same shape, with whose weights the new one begins;
            None: with LoRA's initial ones.
        logged: what else is logged of each step, by name; functions of the same arguments as a
            loss, not trained on.
        extra_tokens: [n] tokens of the passes that the loss makes for each example, to be counted;
            none where it makes none.

    Returns:
        The model with the adapter on, in evaluation mode, and the Trainer's log rows (step, loss,
        learning rate, tokens so far, what is logged). Tokens count once for each pass, forward and
        back together.
    """
    check_counts_epochs(settings)
    first = first_layer(settings, lm.n_layers)
    torch.manual_seed(seed)
    tuned = add_adapter(lm, settings.lora, first)
    if init_from is not None:
        initialise_from(tuned, init_from)
    if extra_module is not None:
        tuned.model.add_module("extra", extra_module)
    try:
        passes = Passes(
            tuned,
            examples,
            reply,
            first,
            settings.activation_cache_bytes,
            extra_tokens,
            settings.gradient_checkpointing,
        )
        checkpoints = folder / "checkpoints"
        with (
            alone_in_training(tuned.base()),
            _masks(tuned, settings) as pool,
            trained_layers(tuned, passes.first, settings.resident_bytes) as read_each_step,
        ):
            # Layers that are read each step are computed again on the way back anyway.
            passes.checkpointing = passes.checkpointing and not read_each_step
            size = largest_input(passes, settings.batch_size) if read_each_step else 0
            renewed = [RenewMasks(pool, 2 * size)] if pool else []
            trainer = _trainer(passes, read_each_step, pool)(
                loss or cross_entropy(examples),
                settings.loraplus_lr_ratio,
                extra_module,
                logged,
                model=tuned.model,
                args=_arguments(settings, checkpoints, tuned.device, seed),
                callbacks=[SoundCheckpoints(checkpoints), *renewed],
            )
            quiet(trainer, description)
            with kept_on_file_errors(checkpoints):
                log = _train(trainer, settings, description)
                save_adapter(tuned, folder / "adapter", reply.tokens if reply else None)
    finally:
        plain = remove_adapter(tuned)
    return load_adapter(plain, folder / "adapter"), log


def _masks(
    tuned: LanguageModel, settings: TeachSettings
) -> AbstractContextManager[MaskPool | None]:
    """Return a context with pooled dropout masks for the adapter, on a processor without an
    accelerator; elsewhere one without effect.
    """
    if tuned.device.type == "cpu":
        return pooled_dropout(tuned.model, settings.lora.dropout)
    return nullcontext()


def _trainer(
    passes: Passes, read_each_step: bool, pool: MaskPool | None
) -> Callable[..., TargetTrainer]:
    if read_each_step:
        return partial(StreamedTrainer, passes, pool=pool)
    return partial(TargetTrainer, passes)


def _train(
    trainer: TargetTrainer, settings: TeachSettings, description: str
) -> list[dict[str, float]]:
    """Train on from the last checkpoint, or from the start; return the Trainer's log rows."""
    passes, checkpoints = trainer.passes, Path(trainer.args.output_dir)
    tuned = passes.lm
    drop_damaged(checkpoints)
    last = last_checkpoint(checkpoints)
    # Autocast decides the dtype of the adapter's products; PEFT's cast to float32 in front of
    # it is a wasted copy.
    lower = tuned.precision == "bfloat16"
    with _short_attention(tuned), disable_input_dtype_casting(tuned.model, active=lower):
        passes.fill(settings.batch_size * max(passes.sizes), f"{description}: the layers below")
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    if launched_processes() > 1:
        make_whole(tuned.model)
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


def first_layer(settings: TeachSettings, n_layers: int) -> int:
    """Return the layer at which the adapter begins, in a model of ``n_layers``.

    Raises:
        WorkbenchError: if it is still to be found from a patching curve.
    """
    if settings.start_layer == "middle":
        return n_layers // 2
    if settings.start_layer == "patching":
        raise WorkbenchError(
            "teach.start_layer=patching asks for a patching curve, which only a run of the whole "
            "loop makes; give the number of "
            "a layer."
        )
    return settings.start_layer


def _arguments(
    settings: TeachSettings, folder: Path, device: torch.device, seed: int
) -> TrainingArguments:
    processes = launched_processes()
    if settings.batch_size % processes:
        raise WorkbenchError(
            f"teach.batch_size is {settings.batch_size}, which does not divide over {processes} "
            "processes; set it to a multiple of them."
        )
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size // processes,
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
    """Use plain attention inside the block when training on a CPU, where it is faster than the
    fused kernel's backward on short rows.
    """
    model = lm.base()
    before = attention_kernel(model)
    if lm.device.type == "cpu":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
