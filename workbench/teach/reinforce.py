"""Sampled reinforcement of a stated confidence: GRPO, by TRL, with a proper score of the grade as the reward.

The answer stands; only the reply that states confidence is sampled, ``GROUP`` of them for each conversation, and trained. A reply's reward
is a proper score of the confidence it states, ``scale`` at best and its negative at worst, and ``wrong_format`` times the scale where it
states nothing on the scale; such replies are rewarded, never dropped. TRL subtracts the group's mean (and does not
divide by its deviation, which would undo the score's scale) and adds the divergence from
the model without the adapter (:mod:`workbench.teach.losses` has the same objective in closed form, without sampling).
Source: Rewarding Doubt (arXiv 2503.02623), which used PPO.

What the log's ``reward`` does not show: discrimination. Stating the share of right answers for everything earns much of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from workbench.elicit.conversation import NumberPrefix
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import stated_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.precision import resolve_precision, weights_in_bfloat16
from workbench.teach.adapter import add_adapter, load_adapter, remove_adapter, save_adapter
from workbench.teach.checkpoints import KEPT, diverged, drop_unfinished, last_checkpoint
from workbench.teach.lesson import Lesson, Taught
from workbench.teach.losses import Reward
from workbench.teach.training import first_layer, quiet

GROUP = 8
_REFERENCE = "ref"


@dataclass(frozen=True)
class Reinforcement:
    """What is rewarded, and how long.

    Attributes:
        reward: of stated shares and grades, in [-1, 1].
        scale, wrong_format: as in :func:`workbench.teach.recipes.plans.rewarded`.
        kl: weight of the divergence from the model without the adapter.
        steps: updates; each samples GROUP replies to each of ``teach.batch_size`` conversations.
    """

    reward: Reward
    scale: float
    wrong_format: float
    kl: float
    steps: int


def by_sampling(plan: Reinforcement) -> Callable[[Lesson], Taught]:
    """A teacher that trains a LoRA adapter by GRPO; targets must be grades, 0 or 1."""

    def teacher(lesson: Lesson) -> Taught:
        require_trl()
        if lesson.reply is not None:
            raise WorkbenchError("Sampled reinforcement adapts the whole conversation; set teach.scope=conversation.")
        if lesson.settings.rate_ratio != 1:
            raise WorkbenchError("TRL trains both of LoRA's matrices at one rate; set teach.rate_ratio=1.")
        torch.manual_seed(lesson.seed)
        tuned = add_adapter(lesson.lm, lesson.settings.lora, first_layer(lesson.settings))
        try:
            trainer = _trainer(tuned, lesson, plan)
            _train(trainer, tuned, lesson)
            if _REFERENCE in tuned.model.peft_config:
                tuned.model.delete_adapter(_REFERENCE)
            save_adapter(tuned, lesson.folder / "adapter", None)
        finally:
            plain = remove_adapter(tuned)
        tuned = load_adapter(plain, lesson.folder / "adapter")
        return Taught(tuned, _log(trainer), _tokens(trainer), len(lesson.conversations))

    return teacher


def require_trl() -> None:
    """An error naming the extra that brings TRL, where it is missing."""
    if find_spec("trl") is None:
        raise WorkbenchError(
            "Sampled reinforcement needs trl, which is not installed: pip install 'confidence-workbench[rl]'."
        )


def rewards_of(
    texts: Sequence[str], targets: Sequence[float], numbers: NumberPrefix, plan: Reinforcement
) -> list[float]:
    """The reward of each reply, given the grade of the answer it speaks of."""
    stated = np.array([parse_confidence(numbers.said + text, numbers.scale) for text in texts])
    known = ~np.isnan(stated)
    scores = plan.reward(np.where(known, stated, 0.5), np.asarray(targets, dtype=np.float64))
    return (plan.scale * np.where(known, scores, plan.wrong_format)).tolist()


def _trainer(tuned: LanguageModel, lesson: Lesson, plan: Reinforcement) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    prompts = [list(conversation.tokens) for conversation in lesson.conversations]
    settings, device = lesson.settings, tuned.device
    rows = [{"prompt": str(row), "target": float(target)} for row, target in enumerate(lesson.targets)]

    class OnTokens(GRPOTrainer):
        """Prompts are the conversations' own tokens, which a text tokenised again need not give."""

        def _tokenize_prompts(self, given: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [prompts[int(row)] for row in given], None, {}

    def reward(completions: list[str], target: list[float], **more: Any) -> list[float]:
        found = rewards_of(completions, target, lesson.numbers, plan)
        more["log_metric"]("wrong_format", float(np.mean(np.isclose(found, plan.scale * plan.wrong_format))))
        return found

    arguments = GRPOConfig(
        output_dir=str(lesson.folder / "checkpoints"),
        per_device_train_batch_size=GROUP * settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        num_generations=GROUP,
        max_completion_length=stated_tokens(lesson.numbers),
        temperature=1.0,
        beta=plan.kl,
        scale_rewards="none",
        max_steps=plan.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="cosine",
        bf16=resolve_precision(lesson.precision, device) == "bfloat16",
        use_cpu=device.type == "cpu",
        seed=lesson.seed,
        logging_steps=1,
        save_steps=settings.checkpoint_steps,
        save_total_limit=KEPT,
        gradient_checkpointing=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=device.type == "cuda",
    )
    return OnTokens(
        model=tuned.model,
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tuned.tokenizer,
    )


def _train(trainer: Any, tuned: LanguageModel, lesson: Lesson) -> None:
    checkpoints = Path(trainer.args.output_dir)
    drop_unfinished(checkpoints)
    last = last_checkpoint(checkpoints)
    lower = resolve_precision(lesson.precision, tuned.device) == "bfloat16"
    quiet(trainer, lesson.description)
    trainer.add_callback(_Finite(checkpoints))
    with weights_in_bfloat16(tuned) if lower else nullcontext():
        trainer.train(resume_from_checkpoint=None if last is None else str(last))


class _Finite(TrainerCallback):
    """Stops at a loss that is not finite."""

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and not np.isfinite(logs.get("loss", 0.0)):
            raise diverged(self.checkpoints, state.global_step)


def _log(trainer: Any) -> list[dict[str, float]]:
    """One row a step: loss, mean reward, divergence, share of replies of a wrong format, tokens so far."""
    names = {"loss": "loss", "reward": "reward", "kl": "kl", "wrong_format": "wrong_format", "num_tokens": "tokens"}
    return [
        {"step": row["step"], **{ours: float(row[theirs]) for theirs, ours in names.items() if theirs in row}}
        for row in trainer.state.log_history
        if "loss" in row
    ]


def _tokens(trainer: Any) -> int:
    return int(max((row["tokens"] for row in _log(trainer) if "tokens" in row), default=0))
