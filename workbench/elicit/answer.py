"""Generate greedy answers to a batch of questions, after reasoning where the format asks for it.

The reply ends at the first line break or the end of the turn; what counts as the answer is that
first line, stripped. Reasoning ends at the end of the turn, at its limit, or where the model itself
opens the line of its answer; the answer is then generated after the reasoning by a second pass over
the prompt, in the words the format has for it. Reasoning cut by its limit may stop short of its
conclusion.

The tokens that all prompts of a batch begin with are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from workbench.elicit.bulk.engine import BulkEngine
from workbench.elicit.conversation import answer_tokens, reasoning_tokens
from workbench.elicit.format import Format
from workbench.elicit.generate import Pick, continued
from workbench.elicit.greedy import (
    largest_log_probability,
    most_probable,
    stop_at_end,
    stop_at_newline,
)
from workbench.elicit.unpadded import UnpaddedPrompts, continue_unpadded, run_unpadded
from workbench.models import LanguageModel
from workbench.models.finite import require_finite
from workbench.models.server import require_weights_here, server_of
from workbench.models.unembed import unembed
from workbench.trace.checks import require_masks
from workbench.trace.forward import forward
from workbench.trace.layout import Prompts, empty_tail, pad_prompts
from workbench.trace.suffix import cache_common_prefix, common_prefix, forward_suffix
from workbench.trace.token_tree import NO_TREE

CacheCallback = Callable[[Any, Prompts], None]
"""A callback that gets the keys and values of a pass over prompts, and the prompts, before anything
is generated.
"""


def answer_batch(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    limit: int,
    keep: CacheCallback | None = None,
    log_probabilities: list[float] | None = None,
    bulk: BulkEngine | None = None,
) -> list[str]:
    """Return the model's greedy answer to each prompt.

    Args:
        prompts: token ids of each prompt, ending where the answer begins.
        limit: most tokens per answer.
        keep: called with the keys and values of the prompts.
        log_probabilities: gets, for each answer, the mean log-probability of its tokens and of the
            one that ends it, in nats, from the logits it was chosen by.
        bulk: what writes the answers in place of passes here; nothing is kept then.
    """
    stop = stop_at_newline(lm)
    written = _written(lm, prompts, limit, stop, keep, log_probabilities, bulk)
    return [first_line(text) for text in written]


def recompute_prompt_cache(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], keep: CacheCallback
) -> None:
    """Compute only what :func:`answer_batch` gives ``keep``, from the same pass and so the same to
    the bit.
    """
    _, cache, batch = run_prompts(lm, prompts)
    keep(cache, batch)


@dataclass(frozen=True)
class Limits:
    """The limits of a reply: most tokens of an answer, of the reasoning before it, and of a
    thought.
    """

    answer: int = 16
    reasoning: int = 96
    thinking: int = 1024

    def of(self, fmt: Format) -> int:
        """Return the most tokens that a reply in ``fmt`` adds to its prompt."""
        reasoned = self.reasoning if fmt.reasoning_prefix else 0
        return self.answer + reasoned + self.thinking * (fmt.thinking + fmt.thinks_again)


def reason_batch(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    limit: int,
    bulk: BulkEngine | None = None,
) -> list[str]:
    """Return the model's greedy reasoning on each question; empty where the format asks for
    none.
    """
    if not fmt.reasoning_prefix:
        return [""] * len(questions)
    prompts = [reasoning_tokens(lm.tokenizer, fmt, question) for question in questions]
    written = _written(lm, prompts, limit, stop_at_end(lm), bulk=bulk)
    return [before_answer(text, fmt) for text in written]


def answer_prompts(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    reasonings: Sequence[str],
    stated: Sequence[str] | None = None,
) -> list[tuple[int, ...]]:
    """Tokenise the prompts that :func:`answer_batch` answers, after the reasoning of each question
    or the confidence ``stated`` before its answer.
    """
    first = [""] * len(questions) if stated is None else stated
    return [
        answer_tokens(lm.tokenizer, fmt, question, reasoning=reasoning, stated=said)
        for question, reasoning, said in zip(questions, reasonings, first, strict=True)
    ]


def before_answer(reply: str, fmt: Format) -> str:
    """Return the reasoning in a reply: what precedes the line that opens the answer, stripped."""
    return f"\n{reply}".split(f"\n{fmt.answer_prefix}", 1)[0].strip()


def first_line(reply: str) -> str:
    """Return the reply up to its first line break, stripped."""
    return reply.split("\n", 1)[0].strip()


def _written(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    limit: int,
    stop: Tensor,
    keep: CacheCallback | None = None,
    log_probabilities: list[float] | None = None,
    bulk: BulkEngine | None = None,
) -> list[str]:
    if bulk is None:
        tokens, scores = greedy_tokens(lm, prompts, limit, stop, keep)
    else:
        found = bulk.write(prompts, limit, torch.nonzero(stop)[:, 0].tolist())
        tokens, scores = found.tokens, found.scores
    if log_probabilities is not None:
        log_probabilities += [sum(line) / len(line) for line in scores]
    return [lm.tokenizer.decode(row, skip_special_tokens=True) for row in tokens]


def greedy_tokens(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    limit: int,
    stop: Tensor,
    keep: CacheCallback | None = None,
) -> tuple[list[list[int]], list[list[float]]]:
    """Return the model's most probable tokens after each prompt, and the log-probability of each.

    Args:
        limit: most tokens of a row.
        stop: [vocab] bool; a row ends with the first of these tokens, which is kept.
        keep: called with the keys and values of the prompts.
    """
    server = server_of(lm)
    if server is not None:
        if keep is not None:
            require_weights_here(lm, "keeping keys and values")
        found = server.write(lm, prompts, limit=limit, stop=stop)
        require_finite(lm, found.scores)
        return found.tokens, _of_rows(found.scores, found.tokens)
    run = _run(lm, prompts, keep)
    require_finite(lm, run.final)
    logits = unembed(lm, run.final)
    scores = torch.zeros((len(prompts), limit), device=logits.device)
    scores[:, 0] = largest_log_probability(logits)
    first, pick = logits.argmax(dim=-1), most_probable(lm, scores)
    tokens = continue_prompts(lm, run, first, limit, stop, pick)
    return tokens, _of_rows(scores, tokens)


def _of_rows(scores: Tensor, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return the scores [rows, steps] of the tokens that each row has."""
    return [line[: len(row)].tolist() for line, row in zip(scores, tokens, strict=True)]


@dataclass(frozen=True, eq=False)
class PaddedPrompts:
    """Prompts that were run in one pass: the states [rows, width] after the final norm at their
    ends, their keys and values, and their columns.
    """

    final: Tensor
    cache: DynamicCache
    batch: Prompts


def start_prompts(
    lm: LanguageModel, prompts: Sequence[Sequence[int]]
) -> PaddedPrompts | UnpaddedPrompts:
    """Run the prompts, to be continued: in one padded pass where a mask can hide padding, else in
    groups of one length.
    """
    if not lm.architecture.packable:
        return run_unpadded(lm, prompts)
    return PaddedPrompts(*run_prompts(lm, prompts))


def continue_prompts(
    lm: LanguageModel,
    run: PaddedPrompts | UnpaddedPrompts,
    first: Tensor,
    limit: int,
    stop: Tensor,
    pick: Pick,
) -> list[list[int]]:
    """Continue prompts that were run; arguments and result are those of
    :func:`workbench.elicit.generate.continued`.
    """
    if isinstance(run, UnpaddedPrompts):
        return continue_unpadded(lm, run, first, limit, stop, pick)
    tail = empty_tail(run.batch)
    return continued(lm, run.batch, tail, first, run.cache, limit, stop, pick)


def _run(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], keep: CacheCallback | None
) -> PaddedPrompts | UnpaddedPrompts:
    run = start_prompts(lm, prompts)
    if keep is not None:
        if isinstance(run, UnpaddedPrompts):
            require_masks(lm)  # no keys and values that could be kept
        else:
            keep(run.cache, run.batch)
    return run


def run_prompts(
    lm: LanguageModel, prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, DynamicCache, Prompts]:
    """Run a pass over the prompts; return the states [rows, width] after the final norm at their
    ends, their keys and values, and their columns.
    """
    shared = common_prefix(prompts)
    if shared:
        rests = [prompt[len(shared) :] for prompt in prompts]
        suffix = forward_suffix(lm, cache_common_prefix(lm, shared, len(prompts)), rests, NO_TREE)
        return suffix.final[:, 0], suffix.cache, suffix.prompts
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((batch.rows, 1), batch.columns - 1, device=lm.device)
    result = forward(lm, batch, empty_tail(batch), last, cache=DynamicCache())
    return result.final[:, 0], result.cache, batch
