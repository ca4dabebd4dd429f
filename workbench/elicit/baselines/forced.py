"""Read from one forward over prompt and answer the answer's likelihood, and what the model says of
it when asked.

The answer is forced token by token. The closed questions about it follow as chains that do not see
each other, and the letters of a choice question follow the prompt. All are read from the same pass.
Logits are made for the answer's positions and the chains' ends only, some at a time.

The answer's likelihood is that of its tokens and of its ending there: the mass of all tokens that
would end it. So it is the probability of exactly this answer; an answer cut off at the limit counts
as one the model would hardly have ended. It does not show the mass the model puts on other wordings
of the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.baselines.alternatives import Alternatives, share_of
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.chains import pack_tails, score_chains
from workbench.elicit.baselines.options import letters_offered, weigh_options
from workbench.elicit.baselines.queries import AFTER_ANSWER, Query, option_alternatives
from workbench.elicit.baselines.token_scores import token_scores
from workbench.elicit.formats import Format
from workbench.elicit.greedy import stop_at_newline
from workbench.models import LanguageModel, Turn, encode
from workbench.pipeline.store import ROW
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts

OPTIONS = "options"


@dataclass(frozen=True)
class Posed:
    """A closed question after each row of a batch: where its chain begins, its tokens, and what may
    follow.
    """

    starts: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    found: Alternatives

    def tokens(self, row: int) -> int:
        """Return how many tokens asking it alone computes for one row, the prompt included."""
        return self.starts[row] + len(self.chains[row]) + self.found.nodes


def forced_batch(
    lm: LanguageModel,
    fmt: Format,
    asked: Sequence[Asked],
    rows: NDArray[np.int64],
    queries: Sequence[str],
) -> pd.DataFrame:
    """Score the answers of one batch and put the ``queries`` (names of AFTER_ANSWER, OPTIONS) about
    them.

    Returns:
        One line per row: ``row``, ``log_likelihood`` in nats of the answer and its ending,
        ``scored`` tokens, ending included, ``entropy`` in nats of the answer's first token,
        ``tokens`` computed; for a query its share of the chosen alternative and ``<query>.tokens``;
        for OPTIONS ``p_ic``, ``max_softmax`` and ``options.tokens``.
    """
    prompts = pad_prompts([one.answered for one in asked], lm.tokenizer.pad_token_id, lm.device)
    questions = {name: _posed(lm.tokenizer, fmt, asked, name) for name in queries}
    parts = [
        score_chains(prompts, q.starts, q.chains, q.found.trie.tree) for q in questions.values()
    ]
    tail, ends = pack_tails(prompts, parts)
    sizes = [one.answer_size for one in asked]
    longest = max(sizes)
    scored = torch.arange(prompts.columns - 1 - longest, prompts.columns, device=lm.device)
    read = torch.cat([scored.clamp(min=0).expand(prompts.rows, -1), *ends], dim=1)
    final = forward(lm, prompts, tail, read).final
    table = pd.DataFrame({ROW: rows, **_likelihood(lm, asked, final[:, : longest + 1], sizes)})
    table["tokens"] = [len(one.answered) for one in asked]
    at = longest + 1
    for (name, question), columns in zip(questions.items(), ends, strict=True):
        here = question.found.probabilities(lm, final[:, at : at + columns.shape[1]])
        at += columns.shape[1]
        for column, values in _scores(name, here, question.found, asked).items():
            table[column] = values
        table[f"{name}.tokens"] = [question.tokens(row) for row in range(len(asked))]
    return table


def chain_tokens(
    tokenizer: Any, fmt: Format, asked: Sequence[Asked], queries: Sequence[str]
) -> int:
    """Return the most tokens that the chains of ``queries`` add after one of the answers
    ``asked``.
    """
    posed = [_posed(tokenizer, fmt, asked, name) for name in queries]
    return sum(max(map(len, one.chains)) + one.found.nodes for one in posed)


def _likelihood(
    lm: LanguageModel, asked: Sequence[Asked], final: Tensor, sizes: Sequence[int]
) -> dict[str, Any]:
    """Return the table's columns on the answers themselves; ``final`` [rows, longest + 1, width]
    ends at each answer's last token.
    """
    longest = max(sizes)
    targets = torch.zeros((len(asked), longest + 1), dtype=torch.long, device=final.device)
    for row, (one, size) in enumerate(zip(asked, sizes, strict=True)):
        answer = one.answered[len(one.prompt) :]
        targets[row, longest - size : longest] = torch.as_tensor(
            answer, dtype=torch.long, device=final.device
        )
    place = torch.arange(longest + 1, device=final.device)
    first = longest - torch.as_tensor(list(sizes), device=final.device)
    real = place >= first[:, None]
    scores = token_scores(lm, final[real], targets[real], stop_at_newline(lm))
    owner = real.nonzero()[:, 0].cpu().numpy()
    ending = (place == longest).expand_as(real)[real].cpu().numpy()
    each = np.where(ending, scores.stop, scores.chosen)
    total = np.bincount(owner, weights=each, minlength=len(asked))
    begins = np.searchsorted(owner, np.arange(len(asked)))
    return {
        "log_likelihood": total,
        "scored": [size + 1 for size in sizes],
        "entropy": scores.entropy[begins],
    }


def _posed(tokenizer: Any, fmt: Format, asked: Sequence[Asked], name: str) -> Posed:
    if name == OPTIONS:
        letters = letters_offered([one.options for one in asked])
        found = option_alternatives(tokenizer, fmt.answer_prefix, letters)
        return Posed(
            tuple(len(one.prompt) for one in asked), tuple(found.shared for _ in asked), found
        )  # fmt: skip
    query = AFTER_ANSWER[name]
    found = query.alternatives(tokenizer)
    starts, chains = zip(
        *(_chain_after_answer(tokenizer, one, query, found) for one in asked), strict=True
    )
    return Posed(starts, chains, found)


def _chain_after_answer(
    tokenizer: Any, one: Asked, query: Query, found: Alternatives
) -> tuple[int, tuple[int, ...]]:
    """Return where the conversation with ``query`` departs from prompt and answer, and its tokens
    from there.
    """
    whole = (
        *encode(tokenizer, (*one.turns, Turn("user", query.text)), query.opening),
        *found.shared,
    )
    pairs = zip(whole, one.answered, strict=False)
    start = next(
        (place for place, (a, b) in enumerate(pairs) if a != b), min(len(whole), len(one.answered))
    )
    return start, tuple(whole[start:])


def _scores(
    name: str, probabilities: NDArray[np.float64], found: Alternatives, asked: Sequence[Asked]
) -> dict[str, NDArray[np.float64]]:
    if name != OPTIONS:
        return {name: share_of(found.largest(probabilities), AFTER_ANSWER[name].chosen)}
    options = weigh_options(found, probabilities, [one.options for one in asked])
    return {"p_ic": options.p_ic, "max_softmax": options.largest}
