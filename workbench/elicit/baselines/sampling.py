"""Sample several answers to each question from one computation of its prompt.

A prompt is computed once; its keys and values are then repeated for its samples, and rows that have
ended leave the batch. A sample is drawn by inverting the distribution function at uniform numbers
that belong to question, sample and step, so that samples depend on the seed and the question alone:
neither on the batches, nor on how many more samples are drawn, nor on where a killed run resumed.

Likelihoods are the model's own, at temperature one and of the whole distribution, whatever is
sampled from; like that of the greedy answer they include the ending. What they do not show:
temperature and top_p change how often an answer is drawn, not the likelihood it is weighted with.
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
from workbench.elicit.generate import continued
from workbench.elicit.greedy import stop_at_newline
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.pipeline.store import ROW
from workbench.trace.forward import forward
from workbench.trace.layout import Prompts, empty_tail, pad_prompts

CHUNK_ROWS = 64


def sampled_batch(
    lm: LanguageModel, asked: Sequence[Asked], rows: NDArray[np.int64], settings: BaselineSettings
) -> pd.DataFrame:
    """Sample answers to one batch of questions.

    Returns:
        ``settings.samples`` lines per row in order: ``row``, ``text`` (first line), ``path`` (its
        token ids without the ending, as text), ``log_likelihood`` in nats, ``tokens`` computed for
        the sample; its prompt's count is ``prompt_tokens``.
    """
    prompts = pad_prompts([one.prompt for one in asked], lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1, device=lm.device)
    result = forward(lm, prompts, empty_tail(prompts), last, cache=DynamicCache())
    k, stop = settings.samples, stop_at_newline(lm)
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
    ends = stop.cpu()
    lines = []
    for row, ids in enumerate(tokens):
        ended = bool(ends[ids[-1]])
        path = ids[:-1] if ended else ids
        log_likelihood = float(
            chosen[row, : len(path)].sum() + (ending[row, len(path)] if ended else 0.0)
        )
        text = first_line(lm.tokenizer.decode(ids, skip_special_tokens=True))
        lines.append((rows[row // k], text, " ".join(map(str, path)), log_likelihood, len(ids) - 1))
    table = pd.DataFrame(lines, columns=[ROW, "text", "path", "log_likelihood", "tokens"])
    table["prompt_tokens"] = np.repeat([len(one.prompt) for one in asked], k)
    return table


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
