"""Sample several answers to each question from one computation of its prompt.

A prompt is computed once; its keys and values are then repeated for its samples, and rows that have
ended leave the batch. A sample is drawn by inverting the distribution function at uniform numbers
that belong to question, sample and step, so that samples depend on the seed and the question alone:
neither on the batches, nor on how many more samples are drawn, nor on where a killed run resumed.

Likelihoods are the model's own, at temperature one and of the whole distribution, whatever is
sampled from; like that of the greedy answer they include the ending. What they do not show:
temperature and top_p change how often an answer is drawn, not the likelihood it is weighted with.

An engine that writes in bulk (:mod:`workbench.elicit.bulk`) draws with seeds that belong to the
questions too, but other samples; the likelihoods are computed here all the same, in one more pass
over prompts and samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from workbench.elicit.answer import first_line
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.baselines.token_scores import token_scores
from workbench.elicit.bulk.engine import BulkEngine, bulk_of
from workbench.elicit.generate import continued
from workbench.elicit.greedy import stop_at_newline
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.pipeline.store import ROW
from workbench.trace.batches import plan_batches
from workbench.trace.forward import forward
from workbench.trace.layout import Prompts, empty_tail, pad_prompts

CHUNK_ROWS = 64
LARGEST_ENGINE_SEED = 2**31
Sample = tuple[Sequence[int], Sequence[int], float]
"""The generated tokens, those without the ending, and their log-likelihood in nats."""


def sampled_batch(
    lm: LanguageModel, asked: Sequence[Asked], rows: NDArray[np.int64], settings: BaselineSettings
) -> pd.DataFrame:
    """Sample answers to one batch of questions.

    Returns:
        ``settings.samples`` lines per row in order: ``row``, ``text`` (first line), ``path`` (its
        token ids without the ending, as text), ``log_likelihood`` in nats, ``tokens`` computed for
        the sample; its prompt's count is ``prompt_tokens``.
    """
    bulk, k, stop = bulk_of(lm), settings.samples, stop_at_newline(lm)
    drawn = (
        _drawn_here(lm, asked, settings, stop)
        if bulk is None
        else _drawn_by(bulk, lm, asked, settings, stop)
    )
    lines = []
    for row, (ids, path, log_likelihood) in enumerate(drawn):
        text = first_line(lm.tokenizer.decode(ids, skip_special_tokens=True))
        lines.append((rows[row // k], text, " ".join(map(str, path)), log_likelihood, len(ids) - 1))
    table = pd.DataFrame(lines, columns=[ROW, "text", "path", "log_likelihood", "tokens"])
    table["prompt_tokens"] = np.repeat([len(one.prompt) for one in asked], k)
    return table


def _drawn_here(
    lm: LanguageModel, asked: Sequence[Asked], settings: BaselineSettings, stop: Tensor
) -> list[Sample]:
    prompts = pad_prompts([one.prompt for one in asked], lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1, device=lm.device)
    result = forward(lm, prompts, empty_tail(prompts), last, cache=DynamicCache())
    k = settings.samples
    result.cache.batch_repeat_interleave(k)
    whole = repeated(prompts, k)
    uniforms = np.concatenate([uniform_numbers(one.text, settings) for one in asked])
    draw = Draw(
        lm, settings.temperature, settings.top_p, torch.as_tensor(uniforms, device=lm.device), stop
    )
    everyone = torch.arange(whole.rows, device=lm.device)
    first = draw(result.final[:, 0].repeat_interleave(k, dim=0), everyone, -1)
    tokens = continued(
        lm, whole, empty_tail(whole), first, result.cache, settings.answer_tokens, stop, draw
    )
    chosen, ending = (part.cpu().numpy() for part in (draw.chosen, draw.ending))
    return [_sample(ids, stop.cpu(), chosen[row], ending[row]) for row, ids in enumerate(tokens)]


def _drawn_by(
    bulk: BulkEngine,
    lm: LanguageModel,
    asked: Sequence[Asked],
    settings: BaselineSettings,
    stop: Tensor,
) -> list[Sample]:
    """Draw with an engine, each question by a seed of its own, and compute the likelihoods here."""
    tokens = bulk.sample(
        [one.prompt for one in asked],
        settings.answer_tokens,
        torch.nonzero(stop)[:, 0].tolist(),
        samples=settings.samples,
        temperature=settings.temperature,
        top_p=settings.top_p,
        seeds=[seed_of(one.text, settings.seed) for one in asked],
    )
    rows = [
        (one.prompt, ids) for one, samples in zip(asked, tokens, strict=True) for ids in samples
    ]
    found: list[Sample] = [((), (), 0.0)] * len(rows)
    lengths = [len(prompt) + len(ids) for prompt, ids in rows]
    for batch in plan_batches(lengths, settings.tokens_per_forward):
        chosen, ending = _scores(lm, [rows[row] for row in batch], stop)
        for place, row in enumerate(batch.tolist()):
            found[row] = _sample(rows[row][1], stop.cpu(), chosen[place], ending[place])
    return found


def _scores(
    lm: LanguageModel, rows: Sequence[tuple[Sequence[int], Sequence[int]]], stop: Tensor
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return, for each prompt and its sample, the log-probability of every token of the sample, and
    that of all endings in its place.
    """
    whole = pad_prompts(
        [[*prompt, *ids[:-1]] for prompt, ids in rows], lm.tokenizer.pad_token_id, lm.device
    )
    longest = max(len(ids) for _, ids in rows)
    read = torch.arange(whole.columns - longest, whole.columns, device=lm.device)
    final = forward(lm, whole, empty_tail(whole), read.expand(whole.rows, -1)).final
    counts = [len(ids) for _, ids in rows]
    states = torch.cat([line[longest - n :] for line, n in zip(final, counts, strict=True)])
    tokens = torch.tensor([token for _, ids in rows for token in ids], device=lm.device)
    found = token_scores(lm, states, tokens, stop)
    ends = np.cumsum(counts)[:-1]
    return np.split(found.chosen, ends), np.split(found.stop, ends)


def _sample(
    ids: Sequence[int], ends: Tensor, chosen: NDArray[np.floating], ending: NDArray[np.floating]
) -> Sample:
    """Return the sample with its likelihood, from the log-probabilities [steps] of its tokens and
    of all endings.
    """
    ended = bool(ends[ids[-1]])
    path = ids[:-1] if ended else ids
    likelihood = float(chosen[: len(path)].sum() + (ending[len(path)] if ended else 0.0))
    return ids, path, likelihood


def seed_of(question: str, seed: int) -> int:
    """Return the seed of a question's samples for an engine, fixed by ``seed`` and its text."""
    digest = hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") ^ seed) % LARGEST_ENGINE_SEED


def uniform_numbers(question: str, settings: BaselineSettings) -> NDArray[np.float64]:
    """Return uniform numbers [samples, answer tokens] in [0, 1), fixed by seed and question.
    Drawing more samples does not change the first ones.
    """
    digest = hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()
    rng = np.random.default_rng([settings.seed, int.from_bytes(digest[:8], "big")])
    return rng.random((settings.samples, settings.answer_tokens))


def repeated(prompts: Prompts, times: int) -> Prompts:
    """Return every prompt ``times`` times, one after the other."""
    return Prompts(
        *(
            part.repeat_interleave(times, dim=0)
            for part in (prompts.tokens, prompts.valid, prompts.positions)
        )
    )


def sampled_from(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Return the distribution [n, vocab] that is drawn from, float64: tempered, then the fewest
    tokens that hold ``top_p`` of it.
    """
    probabilities = (logits.double() / temperature).softmax(dim=-1)
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.zeros_like(probabilities).scatter_(1, order, ordered.where(before < top_p, 0.0))
    return kept / kept.sum(dim=-1, keepdim=True)


def inverted(distribution: Tensor, uniform: Tensor) -> Tensor:
    """Return the token [n] at which each row's distribution function [n, vocab] first exceeds
    ``uniform`` [n].
    """
    reached = distribution.cumsum(dim=-1)
    token = torch.searchsorted(reached, (uniform * reached[:, -1])[:, None], right=True)[:, 0]
    # Rounding can place the number at the very end, after the last token that has any probability.
    last = distribution.shape[-1] - 1 - (distribution > 0).flip(-1).int().argmax(dim=-1)
    return torch.minimum(token, last)


@dataclass
class Draw:
    """A picker that draws tokens and records their log-probability and that of all endings, [rows,
    steps].

    Memory: CHUNK_ROWS rows of logits in float64 at once.
    """

    lm: LanguageModel
    temperature: float
    top_p: float
    uniform: Tensor
    stop: Tensor
    chosen: Tensor = field(init=False)
    ending: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.chosen, self.ending = torch.zeros_like(self.uniform), torch.zeros_like(self.uniform)

    def __call__(self, final: Tensor, rows: Tensor, step: int) -> Tensor:
        """Draw the next tokens [live] from states ``final`` [live, width]; ``step`` -1 draws the
        first ones.
        """
        with torch.no_grad():
            parts = [
                self._drawn(states, some, step + 1)
                for states, some in zip(
                    final.split(CHUNK_ROWS), rows.split(CHUNK_ROWS), strict=True
                )
            ]
        return torch.cat(parts)

    def _drawn(self, states: Tensor, rows: Tensor, place: int) -> Tensor:
        logits = unembed(self.lm, states)
        uniform = self.uniform[rows, place].to(logits.device)
        token = inverted(sampled_from(logits, self.temperature, self.top_p), uniform)
        log = logits.log_softmax(dim=-1)
        self.chosen[rows, place] = log.gather(1, token[:, None])[:, 0].to(self.chosen)
        self.ending[rows, place] = (
            log[:, self.stop.to(log.device)].logsumexp(dim=-1).to(self.ending)
        )
        return token.to(rows.device)
