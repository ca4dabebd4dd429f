"""What a whole run on a tiny model starts from, and what it ends in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench.loop.growing_page
from tests.support.tiny_models import build_tiny
from workbench.config import RunConfig
from workbench.elicit.answer import answer_batch, answer_prompts, reason_batch
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel, set_precision
from workbench.questions import Question

MARKUP = "<script>alert(1)</script>"

ANSWER_TOKENS = 6


@dataclass(frozen=True)
class LoopInputs:
    """What a whole run on a tiny model starts from: a model's folder, a question file, and the
    settings that fit them.
    """

    model: Path
    questions: Path
    config: RunConfig


@dataclass(frozen=True)
class FinishedRun:
    """A run that went through, its folders not to be written to."""

    inputs: LoopInputs
    folder: Path
    figures: Path
    summary: dict[str, Any]


@contextmanager
def written_at_the_end() -> Iterator[None]:
    """A run writes its page once, by its last stage, and not after every stage, which is a third of
    a tiny run's work.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbench.loop.growing_page, "grow_page", lambda *_: None)
        yield


def save_number_writer(folder: Path, **overrides: Any) -> None:
    """A tiny llama whose head favours digits and the percent sign, so that most of its
    confidences can be parsed; ``overrides`` of its configuration.
    """
    lm = build_tiny(seed=3, **overrides)
    ids = lm.tokenizer.convert_tokens_to_ids(list("0123456789%"))
    with torch.no_grad():
        lm.head().weight[ids] *= torch.tensor([3.0] * 10 + [6.0])[:, None]
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)


def planted_questions(
    lm: LanguageModel, name: str = "percent", reasoning_tokens: int = 4
) -> list[Question]:
    """132 questions in two domains; "upper" ones accept what the model replies, "lower" ones
    nothing it could reply.

    So grading is real, half of the answers are right, and one word of the question decides which: a
    probe must find it. Accepted are the replies in the format ``name`` under the settings of
    :func:`loop_inputs` and under the defaults, in either precision, so that runs in both are graded
    alike; ``lm`` is left in bfloat16. Every eleventh question carries markup.
    """
    keys = [
        (i, domain, side)
        for i in range(33)
        for domain in ("planets", "rivers")
        for side in ("upper", "lower")
    ]
    texts = [
        f"Which of the {d} is {s} {i * 7919 % 1000}?{MARKUP if i % 11 == 0 else ''}"
        for i, d, s in keys
    ]
    reasonings = reason_batch(lm, FORMATS[name], texts, reasoning_tokens)
    prompts = answer_prompts(lm, FORMATS[name], texts, reasonings)
    limits = (ANSWER_TOKENS, RunConfig().elicit.answer_tokens)
    said = [answer_batch(lm, prompts, limit) for limit in limits]
    set_precision(lm, "bfloat16")
    said += [answer_batch(lm, prompts, limit) for limit in limits]
    replies = zip(*said, strict=True)
    return [
        Question(
            id=f"{domain}-{side}-{i}",
            text=text,
            answers=tuple(dict.fromkeys(accepted)) if side == "upper" else ("zzqx",),
            domain=domain,
            source="made for this test",
            licence="none",
        )
        for (i, domain, side), text, accepted in zip(keys, texts, replies, strict=True)
    ]
