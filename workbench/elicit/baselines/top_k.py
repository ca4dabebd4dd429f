"""Elicit verbalised top-k: the model lists its guesses with a probability each (after Tian et al.
2023, arXiv 2305.14975).

The list is generated greedily and parsed strictly: lines ``1. guess - 60%`` numbered from 1 without
gaps, each probability between 0 and 100. A list without a single such line is a format failure;
parsing ends at the first line that is none. A probability is taken as written: the list's sum is
not forced to 100.

Scores, larger means more confident: ``listed`` is the probability of the guess that agrees with the
greedy answer, 0 if the list has none; ``top`` the largest probability in the list, whichever guess
has it. NaN for format failures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.equality import agrees
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.greedy import end_tokens, greedy
from workbench.models import LanguageModel, Turn, encode
from workbench.models.unembed import unembed
from workbench.pipeline.store import ROW
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

SYSTEM = (
    "List your {guesses} best guesses at the answer, the likeliest first, each on a line of its "
    "own with the probability that it "
    "is right:\n1. guess - 60%\n2. guess - 20%\nWrite nothing else."
)
OPENING = "1."
_LINE = re.compile(r"(\d{1,2})\.\s*(\S.*?)\s+[-–—]\s*(\d{1,3}(?:\.\d+)?)\s?%\.?\s*")


@dataclass(frozen=True)
class Guess:
    """A line of the list: the answer and the stated probability in [0, 1]."""

    answer: str
    probability: float


def parse_guesses(text: str, most: int) -> tuple[Guess, ...]:
    """Return the guesses at the beginning of ``text``, at most ``most``; () if it begins
    with none.
    """
    found: list[Guess] = []
    for line in text.strip().split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match is None or int(match.group(1)) != len(found) + 1 or len(found) == most:
            break
        percent = float(match.group(3))
        if percent > 100:
            break
        found.append(Guess(match.group(2), percent / 100))
    return tuple(found)


def list_prompt(tokenizer: Any, question: str, guesses: int) -> list[int]:
    """Return the token ids of the request, the reply opened with the first number."""
    turns = (Turn("system", SYSTEM.format(guesses=guesses)), Turn("user", question))
    return encode(tokenizer, turns, OPENING)


def listed_batch(
    lm: LanguageModel, asked: Sequence[Asked], rows: NDArray[np.int64], settings: BaselineSettings
) -> pd.DataFrame:
    """Generate the lists of one batch: ``row``, ``text``, ``guesses`` parsed, the scores ``listed``
    and ``top``, ``tokens`` computed.
    """
    tokens = [list_prompt(lm.tokenizer, one.text, settings.guesses) for one in asked]
    prompts = pad_prompts(tokens, lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1, device=lm.device)
    result = forward(lm, prompts, empty_tail(prompts), last, cache=DynamicCache())
    first = unembed(lm, result.final[:, 0]).argmax(dim=-1)
    stop = torch.zeros(lm.config.vocab_size, dtype=torch.bool, device=lm.device)
    stop[sorted(end_tokens(lm))] = True
    replies = greedy(
        lm, prompts, empty_tail(prompts), first, result.cache, settings.list_tokens, stop
    )
    lines = []
    for row, one, prompt, ids in zip(rows, asked, tokens, replies, strict=True):
        text = OPENING + lm.tokenizer.decode(ids, skip_special_tokens=True)
        guesses = parse_guesses(text, settings.guesses)
        lines.append(
            (row, text, len(guesses), *list_scores(guesses, one), len(prompt) + len(ids) - 1)
        )
    return pd.DataFrame(lines, columns=[ROW, "text", "guesses", "listed", "top", "tokens"])


def list_scores(guesses: Sequence[Guess], asked: Asked) -> tuple[float, float]:
    """Return ``listed`` and ``top`` of one list."""
    if not guesses:
        return math.nan, math.nan
    mine = [
        guess.probability for guess in guesses if agrees(guess.answer, asked.answer, asked.question)
    ]
    return max(mine, default=0.0), max(guess.probability for guess in guesses)
