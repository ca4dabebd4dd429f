"""A short training of a tiny model on number targets, for tests that run one recipe in many ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import Format
from workbench.elicit.readout import recompute_cache
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.models import LanguageModel
from workbench.teach.examples import distribution_examples, text_examples
from workbench.teach.targets import spread_targets
from workbench.teach.training import train_adapter
from workbench.teach.training_forward import Reply
from workbench.trace.layout import without_last
from workbench.trace.prefix_cache import PrefixCache

FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
COUNT = 8
SETTINGS = TeachSettings(
    lora=LoraSettings(rank=4, alpha=8, dropout=0.0),
    start_layer=0,
    learning_rate=1e-2,
    epochs=2,
    batch_size=2,
    gradient_accumulation_steps=2,
)


def train_tiny(
    lm: LanguageModel, folder: Path, scope: str = "conversation", **changed: Any
) -> tuple[LanguageModel, list[dict[str, float]]]:
    """Train an adapter on the conversation or on the reply; return the tuned model and the log."""
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    questions = [f"What is {i} + 7{' x' * (i % 3)}?" for i in range(COUNT)]
    rows = [
        confidence_conversation(lm.tokenizer, FORMAT, numbers, question, str(i + 7))
        for i, question in enumerate(questions)
    ]
    reply = None
    if scope == "reply":
        tokens = reply_tokens(lm.tokenizer, FORMAT, numbers)
        prefixes = PrefixCache(10**9, 512, None)
        recompute_cache(
            lm,
            rows,
            numbers,
            lambda cache, prompts: prefixes.keep(
                range(COUNT), cache, without_last(prompts, len(tokens))
            ),
        )
        reply = Reply(tokens, list(range(COUNT)), prefixes)
        bells = spread_targets(np.resize(np.linspace(0, 1, COUNT), 50), PERCENT, 0.06)[:COUNT]
        examples = distribution_examples(lm.tokenizer, FORMAT, numbers, rows, bells)
    else:
        wanted = [(37 * i) % 101 for i in range(COUNT)]
        examples = text_examples(lm.tokenizer, FORMAT, numbers, rows, wanted)
    settings = SETTINGS.model_copy(update=changed)
    return train_adapter(lm, examples, settings, folder, seed=3, description="test", reply=reply)


def losses(log: Sequence[dict[str, float]]) -> list[float]:
    """The loss of every step."""
    return [row["loss"] for row in log]
