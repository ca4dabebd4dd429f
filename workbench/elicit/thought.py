"""Generate a thinking model's thoughts, each to its end or to a bound on its tokens.

A thought is generated greedily after what opens it (:mod:`workbench.models.thoughts`) and ends with
the template's closing mark. One that reaches the bound, or ends its turn without that mark, is
truncated: its text is what there is of it. It is closed where it stops like any other, so its row
has an answer and a confidence, but that answer is the reply to half a thought and is never graded
(:mod:`workbench.elicit.answer_table`).

White space around a thought belongs to the marks, so it is stripped and written as the template
writes it. The text does not show special tokens the model may have written inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.answer import continue_prompts, start_prompts
from workbench.elicit.bulk.engine import bulk_of, tokens_per_call
from workbench.elicit.conversation import reasoning_tokens, second_thought_tokens
from workbench.elicit.format import Format
from workbench.elicit.generate import Pick
from workbench.elicit.greedy import most_probable, stop_at_end
from workbench.models import LanguageModel
from workbench.models.ends import end_tokens
from workbench.models.finite import require_finite
from workbench.models.server import require_weights_here, server_of
from workbench.models.thoughts import require_thoughts
from workbench.models.unembed import unembed
from workbench.stream.rounds import run_together
from workbench.trace.batches import plan_batches


@dataclass(frozen=True)
class Thought:
    """What a model thought: its text, and whether it was cut before its end."""

    text: str
    truncated: bool


def think(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    limit: int,
    tokens_per_forward: int,
) -> list[Thought]:
    """Return the model's thought before its answer to each question."""
    prompts = [reasoning_tokens(lm.tokenizer, fmt, question) for question in questions]
    return thought_batch(lm, prompts, limit, tokens_per_forward)


def think_again(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    answers: Sequence[str],
    thoughts: Sequence[str],
    limit: int,
    tokens_per_forward: int,
) -> list[Thought]:
    """Return the model's thought before it states its confidence in each answer."""
    prompts = [
        second_thought_tokens(lm.tokenizer, fmt, *said)
        for said in zip(questions, answers, thoughts, strict=True)
    ]
    return thought_batch(lm, prompts, limit, tokens_per_forward)


def thought_batch(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], limit: int, tokens_per_forward: int
) -> list[Thought]:
    """Return the greedy thought after each prompt, of at most ``limit`` tokens.

    Args:
        prompts: token ids of each prompt, ending where the thought begins.
        tokens_per_forward: memory bound, tokens of the pass over the prompts.
    """
    found: dict[int, Thought] = {}

    def compute(batch: NDArray[np.int64]) -> None:
        chosen = _think(lm, [prompts[row] for row in batch], limit)
        found.update(zip(batch.tolist(), chosen, strict=True))

    one = len(_mark(lm)) == 1  # an engine that writes in bulk stops at single tokens
    bound = tokens_per_call(lm, tokens_per_forward) if one else tokens_per_forward
    batches = plan_batches([len(prompt) for prompt in prompts], bound)
    run_together([partial(compute, batch) for batch in batches])
    return [found[row] for row in range(len(prompts))]


def _think(lm: LanguageModel, prompts: Sequence[Sequence[int]], limit: int) -> list[Thought]:
    end, mark = require_thoughts(lm.tokenizer).end, _mark(lm)
    stop, server = stop_at_end(lm), server_of(lm)
    if len(mark) == 1:
        stop[mark] = True
    if server is not None:
        if len(mark) > 1:
            require_weights_here(lm, f"a thought that ends with {end!r}, {len(mark)} tokens,")
        rows = server.write(lm, prompts, limit=limit, stop=stop).tokens
        return [_thought(lm, row, end, mark) for row in rows]
    bulk = bulk_of(lm)
    if bulk is not None and len(mark) == 1:
        written = bulk.write(prompts, limit, torch.nonzero(stop)[:, 0].tolist()).tokens
        return [_thought(lm, row, end, mark) for row in written]
    run = start_prompts(lm, prompts)
    require_finite(lm, run.final)
    first = unembed(lm, run.final).argmax(dim=-1)
    if len(mark) == 1:
        pick: Pick = most_probable(lm)
    else:
        pick = _until_written(lm, end, first)
    rows = continue_prompts(lm, run, first, limit, stop, pick)
    return [_thought(lm, row, end, mark) for row in rows]


def _mark(lm: LanguageModel) -> list[int]:
    """Return the tokens of the mark that ends a thought."""
    end = require_thoughts(lm.tokenizer).end
    tokens: list[int] = lm.tokenizer(end, add_special_tokens=False)["input_ids"]
    return tokens


def _thought(lm: LanguageModel, row: list[int], end: str, mark: Sequence[int]) -> Thought:
    if len(mark) == 1:
        text, ended = lm.tokenizer.decode(row, skip_special_tokens=True), row[-1] == mark[0]
        return Thought(text.split(end, 1)[0].strip(), not ended)
    text, found, _ = lm.tokenizer.decode(row, skip_special_tokens=True).partition(end)
    return Thought(text.strip(), not found)


def _until_written(lm: LanguageModel, end: str, first: Tensor) -> Pick:
    """Pick the most probable token, but end a row once its text holds a mark of several tokens."""
    ends = min(end_tokens(lm), default=None)
    window = len(end.encode()) + 1
    said = [[int(token)] for token in first]

    def pick(final: Tensor, rows: Tensor, step: int) -> Tensor:
        chosen: Tensor = unembed(lm, final).argmax(dim=-1)
        for place, row in enumerate(rows.tolist()):
            written = end in lm.tokenizer.decode(said[row][-window:])
            if written and ends is not None:
                chosen[place] = torch.as_tensor(ends, device=chosen.device)
            else:
                said[row].append(int(chosen[place]))
        return chosen

    return pick
