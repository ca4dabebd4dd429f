"""Train a stated confidence by sampled reinforcement with TRL, with a proper score of the grade as
the reward.

``teach.group_size`` replies are sampled after each prompt and trained
(:mod:`workbench.teach.replies`). A reply is either a confidence in a given answer, or answer and
confidence, with the words between them written. A reply's reward is ``scale`` times a score of what
it states, higher is better, and ``wrong_format`` times the scale where it states nothing on the
scale; such replies are rewarded, never dropped.

GRPO subtracts the group's mean (and does not divide by its deviation, which would undo the score's
scale) and adds the divergence from the model without the adapter to the loss. RLOO subtracts the
mean of the group's other replies and takes the divergence off the reward.
:mod:`workbench.teach.losses` has the objective in closed form, without sampling. Source: Rewarding
Doubt (arXiv 2503.02623), which used PPO; RLOO: arXiv 2402.14740.

The log's ``tokens`` count every pass over a token, so that x of a learning curve is compute: the
sampling (twice where a reply has an opening), the pass with the gradient, RLOO's pass over what it
sampled, and the one of the model without the adapter where there is a ``kl``. A pass forward and
back counts once, as in the exact arms.

The log's ``reward`` does not show discrimination. Stating the share of right answers for everything
earns much of it. The divergence is not part of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workbench.compat import TokenPrompts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.room import require_room
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter
from workbench.teach.callbacks import SoundCheckpoints, quiet
from workbench.teach.checkpoints import (
    KEPT,
    diverged,
    drop_damaged,
    kept_on_file_errors,
    last_checkpoint,
)
from workbench.teach.on_policy import Reinforcement, require_trl, rewards_of
from workbench.teach.replies import Replies
from workbench.teach.rollout import opened
from workbench.teach.training import first_layer
from workbench.teach.training_job import TrainingJob, TrainingResult
from workbench.teach.trl_fixes import left_as_found, numbers_only, positions_from_mask

_REFERENCE = "ref"


def train_on_policy(plan: Reinforcement) -> Callable[[TrainingJob], TrainingResult]:
    """Return a function that trains a LoRA adapter on sampled replies; targets must be grades, 0 or
    1.
    """

    def teacher(job: TrainingJob) -> TrainingResult:
        require_trl()
        if job.reply is not None:
            raise WorkbenchError(
                "Sampled reinforcement adapts the whole conversation; set "
                "teach.adapter_scope=conversation."
            )
        if job.settings.loraplus_lr_ratio != 1:
            raise WorkbenchError(
                "TRL trains both of LoRA's matrices at one rate; set teach.loraplus_lr_ratio=1."
            )
        require_kept_layers(job.settings.gradient_checkpointing)
        replies = plan.replies(job)
        if replies.opening is not None and not plan.algorithm.opens:
            raise WorkbenchError(
                f"TRL's {plan.algorithm.trainer} cannot sample a reply in parts; take GRPO."
            )
        require_room(job.lm, _most_tokens(replies), "a prompt with its sampled reply")
        torch.manual_seed(job.seed)
        tuned = add_adapter(job.lm, job.settings.lora, first_layer(job.settings, job.lm.n_layers))
        try:
            with kept_on_file_errors(job.folder / "checkpoints"):
                with left_as_found(tuned.base()):
                    trainer = _trainer(tuned, job, plan, replies)
                    _train(trainer, tuned, job)
                if _REFERENCE in tuned.model.peft_config:
                    tuned.model.delete_adapter(_REFERENCE)
                save_adapter(tuned, job.folder / "adapter", None)
        finally:
            plain = remove_adapter(tuned)
        # What opens a reply is sampled in a separate pass; it ends before the written words, and
        # is counted like the others.
        log = _log(trainer, plan.passes + (replies.opening is not None))
        tuned = load_adapter(plain, job.folder / "adapter")
        return TrainingResult(tuned, log, int(log[-1]["tokens"]), len(job.conversations))

    return teacher


def _most_tokens(replies: Replies) -> int:
    """Return the most tokens of a prompt and what is sampled after it."""
    opening = replies.opening
    written = 0 if opening is None else opening.limit + len(opening.written)
    return max(map(len, replies.prompts), default=0) + written + replies.limit


def require_kept_layers(gradient_checkpointing: bool) -> None:
    """Refuse gradient checkpointing, which this training's passes, made by TRL, do not know.

    Raises:
        WorkbenchError: where it is set.
    """
    if gradient_checkpointing:
        raise WorkbenchError(
            "teach.gradient_checkpointing cannot be combined with arms that sample replies while "
            "they train: set it to false, or choose other arms."
        )


def _trainer(tuned: LanguageModel, job: TrainingJob, plan: Reinforcement, replies: Replies) -> Any:
    from datasets import Dataset

    def reward(prompts: list[str], completions: list[str], **more: Any) -> list[float]:
        found = rewards_of(completions, [int(row) for row in prompts], replies, plan)
        more["log_metric"](
            "wrong_format", float(np.mean(np.isclose(found, plan.scale * plan.wrong_format)))
        )
        return found

    trl = import_module("trl")
    rolled = (
        {}
        if replies.opening is None
        else {"rollout_func": opened(replies.prompts, replies.opening, replies.limit)}
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="You are using 'rollout_func'")
        return _on_tokens(getattr(trl, plan.algorithm.trainer), replies.prompts)(
            model=tuned.model,
            reward_funcs=reward,
            args=getattr(trl, plan.algorithm.config)(**_arguments(tuned, job, plan, replies)),
            train_dataset=Dataset.from_list(
                [{"prompt": str(row)} for row in range(len(replies.prompts))]
            ),
            processing_class=tuned.tokenizer,
            **rolled,
        )


def _on_tokens(trainer: Any, prompts: Sequence[Sequence[int]]) -> Any:
    """Return the TRL trainer's class with prompts given as tokens, because a text tokenised again
    need not give the same ones, and with a check for finite losses.
    """

    class OnTokens(TokenPrompts, trainer):
        def prompt_tokens(self, given: Sequence[str]) -> list[list[int]]:
            return [list(prompts[int(row)]) for row in given]

        def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            loss = super().compute_loss(model, inputs, *more, **named)
            if not bool(torch.isfinite(loss)):
                raise diverged(Path(self.args.output_dir), self.state.global_step)
            return loss

    return OnTokens


def _arguments(
    tuned: LanguageModel, job: TrainingJob, plan: Reinforcement, replies: Replies
) -> dict[str, Any]:
    settings, device = job.settings, tuned.device
    return {
        "output_dir": str(job.folder / "checkpoints"),
        "per_device_train_batch_size": settings.group_size * settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation_steps,
        "num_generations": settings.group_size,
        "max_completion_length": replies.limit,
        "temperature": 1.0,
        "beta": plan.kl,
        "max_steps": settings.on_policy_steps or plan.steps,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": "cosine",
        "bf16": tuned.precision == "bfloat16",
        "use_cpu": device.type == "cpu",
        "seed": job.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": KEPT,
        "gradient_checkpointing": False,
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": device.type == "cuda",
        **plan.algorithm.options,
    }


def _train(trainer: Any, tuned: LanguageModel, job: TrainingJob) -> None:
    checkpoints = Path(trainer.args.output_dir)
    drop_damaged(checkpoints)
    last = last_checkpoint(checkpoints)
    quiet(trainer, job.description)
    trainer.add_callback(SoundCheckpoints(checkpoints))
    with ExitStack() as around:
        around.enter_context(positions_from_mask(tuned.model))
        around.enter_context(
            numbers_only(tuned.head(), lambda: diverged(checkpoints, trainer.state.global_step))
        )
        trainer.train(resume_from_checkpoint=None if last is None else str(last))


def _log(trainer: Any, passes: int) -> list[dict[str, float]]:
    """Return one row per step: loss, mean reward, divergence, share of replies of a wrong format,
    tokens so far.
    """
    # The reward of the function itself: RLOO's own "reward" has the divergence taken off.
    names = {
        "loss": "loss",
        "rewards/reward/mean": "reward",
        "kl": "kl",
        "wrong_format": "wrong_format",
    }
    return [
        {
            "step": row["step"],
            **{ours: float(row[theirs]) for theirs, ours in names.items() if theirs in row},
            "tokens": passes * int(row["num_tokens"]),
        }
        for row in trainer.state.log_history
        if "loss" in row
    ]
