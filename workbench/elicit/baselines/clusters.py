"""Group sampled answers that mean the same, judged by the model itself.

Answers that are equal by normalisation are one from the start. Each further answer is compared with
the first member of every group so far, in order of appearance, and joins the first one it matches
(Kuhn et al. 2023, arXiv 2302.09664): sameness is taken to be transitive, which saves the other
pairs. Two answers match if the model says yes to the query in both directions; the second is put
only after a yes to the first. All questions of a batch advance together, one pair each a round, and
what their queries share (question and instruction) is computed once.

It does not show whether the judge is any good. Small models say yes or no to nearly everything;
comparing the number of groups with the number of distinct answers shows that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.baselines.alternatives import Alternatives, share_of
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.chains import score_chains
from workbench.elicit.baselines.equality import Key, answer_key
from workbench.elicit.baselines.queries import EQUIVALENCE
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.models import LanguageModel, Turn, encode
from workbench.pipeline.store import ROW
from workbench.trace.batches import plan_batches
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.prompt_cache import forward_tail

THRESHOLD = 0.5
_Pair = tuple[str, str]


@dataclass
class _Grouping:
    """A question's distinct answers while they are grouped; ``group`` [answers], -1 where not yet
    decided.
    """

    question: str
    texts: list[str]
    prefix: tuple[int, ...] = ()
    group: list[int] = field(default_factory=lambda: [0])
    firsts: list[int] = field(default_factory=lambda: [0])
    at: int = 0
    returning: bool = False

    @property
    def done(self) -> bool:
        return len(self.group) == len(self.texts)

    def pair(self) -> _Pair:
        """Return the next two texts to compare, in the direction to ask."""
        new, old = self.texts[len(self.group)], self.texts[self.firsts[self.at]]
        return (old, new) if self.returning else (new, old)

    def told(self, same: bool) -> None:
        """Take the judge's answer to :meth:`pair`, and go on."""
        if same and not self.returning:
            self.returning = True
            return
        self.returning = False
        if same:
            self._join(self.at)
        elif self.at + 1 < len(self.firsts):
            self.at += 1
        else:
            self.firsts.append(len(self.group))
            self._join(len(self.firsts) - 1)

    def _join(self, group: int) -> None:
        self.group.append(group)
        self.at = 0


def grouped_batch(
    lm: LanguageModel,
    asked: Sequence[Asked],
    samples: Sequence[Sequence[str]],
    rows: NDArray[np.int64],
    settings: BaselineSettings,
) -> pd.DataFrame:
    """Group the sampled answers of one batch of questions.

    Args:
        samples: [questions][samples] the sampled texts.

    Returns:
        One line per sample, in order: ``row``, ``group`` (0 for that of the first sample), and the
        question's ``distinct`` answers, ``queries`` put and ``tokens`` computed.
    """
    owners, groupings = zip(
        *(_distinct(one, texts) for one, texts in zip(asked, samples, strict=True)), strict=True
    )
    found = EQUIVALENCE.alternatives(lm.tokenizer)
    for grouping in groupings:
        grouping.prefix = _prefix(lm.tokenizer, grouping, found)
    spent = _compare(lm, groupings, found, settings)
    lines = []
    for row, of, grouping, (queries, tokens) in zip(rows, owners, groupings, spent, strict=True):
        lines += [(row, grouping.group[key], len(grouping.texts), queries, tokens) for key in of]
    return pd.DataFrame(lines, columns=[ROW, "group", "distinct", "queries", "tokens"])


def _distinct(asked: Asked, texts: Sequence[str]) -> tuple[list[int], _Grouping]:
    """Return, for each sample, which distinct answer it is, and those answers by the first text of
    each.
    """
    places: dict[Key, int] = {}
    kept: list[str] = []
    owners = []
    for text in texts:
        key = answer_key(text, asked.question)
        if key not in places:
            places[key] = len(kept)
            kept.append(text)
        owners.append(places[key])
    return owners, _Grouping(asked.text, kept)


def _compare(
    lm: LanguageModel,
    groupings: Sequence[_Grouping],
    found: Alternatives,
    settings: BaselineSettings,
) -> list[tuple[int, int]]:
    """Ask until every grouping is done; return the queries put and the tokens computed for each."""
    prefixes = PrefixCache(2**63, settings.tokens_per_forward, None)
    queries, tokens = [0] * len(groupings), [0] * len(groupings)
    asking = [place for place, grouping in enumerate(groupings) if not grouping.done]
    prefixes.fill(lm, asking, [groupings[place].prefix for place in asking], "reading questions")
    while open_ := [place for place, grouping in enumerate(groupings) if not grouping.done]:
        chains = {place: _chain(lm.tokenizer, groupings[place], found) for place in open_}
        lengths = [start + len(chain) for start, chain in chains.values()]
        for batch in plan_batches(lengths, settings.tokens_held, found.nodes):
            places = [open_[index] for index in batch]
            shares = _asked(lm, groupings, places, [chains[p] for p in places], prefixes, found)
            for place, share in zip(places, shares, strict=True):
                tokens[place] += len(chains[place][1]) + found.nodes
                tokens[place] += 0 if queries[place] else len(groupings[place].prefix)
                queries[place] += 1
                groupings[place].told(bool(share > THRESHOLD))
    return list(zip(queries, tokens, strict=True))


def _asked(
    lm: LanguageModel,
    groupings: Sequence[_Grouping],
    places: Sequence[int],
    chains: Sequence[tuple[int, tuple[int, ...]]],
    prefixes: PrefixCache,
    found: Alternatives,
) -> NDArray[np.float64]:
    """Return the share of yes [places] after each prefix and chain."""
    before = [groupings[place].prefix for place in places]
    kept = prefixes.kept(lm, np.asarray(places), before)
    starts, chained = zip(*chains, strict=True)
    tail, ends = score_chains(kept.prompts, starts, chained, found.trie.tree)
    final = forward_tail(lm, kept, tail, ends - kept.prompts.columns, ())
    return share_of(found.largest(found.probabilities(lm, final)), EQUIVALENCE.chosen)


def _prefix(tokenizer: Any, grouping: _Grouping, found: Alternatives) -> tuple[int, ...]:
    """Return the tokens that every query about this question begins with, at least one fewer than
    the shortest query has.
    """
    whole = [_query(tokenizer, grouping.question, (text, text), found) for text in grouping.texts]
    shortest = min(map(len, whole)) - 1
    size = next((n for n in range(shortest) if len({tokens[n] for tokens in whole}) > 1), shortest)
    return whole[0][:size]


def _chain(tokenizer: Any, grouping: _Grouping, found: Alternatives) -> tuple[int, tuple[int, ...]]:
    """Return where the next query departs from the prefix, and its tokens from there."""
    whole = _query(tokenizer, grouping.question, grouping.pair(), found)
    pairs = zip(whole, grouping.prefix, strict=False)
    start = next((place for place, (a, b) in enumerate(pairs) if a != b), len(grouping.prefix))
    return start, whole[start:]


def _query(tokenizer: Any, question: str, pair: _Pair, found: Alternatives) -> tuple[int, ...]:
    text = EQUIVALENCE.text.format(question=question, first=pair[0], second=pair[1])
    return (*encode(tokenizer, (Turn("user", text),), EQUIVALENCE.opening), *found.shared)
