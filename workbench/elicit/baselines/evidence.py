"""Gather what baselines read in passes; each pass serves several baselines and is made once.

forced   one forward over prompt and own answer, with the closed questions about it
samples  several sampled answers
groups   which of them mean the same, judged by the model (needs ``samples``)
list     a list of guesses with probabilities
stated   the stated confidence and its distribution

Every pass goes batch by batch; within a stage of a run (:mod:`workbench.pipeline.store`) finished
batches are kept, so that a killed run goes on where it was. Tables have one line per row,
``samples`` and ``groups`` one line per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Rows
from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.clusters import grouped_batch
from workbench.elicit.baselines.consistency import consistency
from workbench.elicit.baselines.forced import chain_tokens, forced_batch
from workbench.elicit.baselines.sampling import sampled_batch
from workbench.elicit.baselines.semantic_entropy import semantic_entropies
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.baselines.stated import stated_batch
from workbench.elicit.baselines.top_k import list_prompt, listed_batch
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import format_for
from workbench.elicit.lengths import check_lengths
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, compute_parts, run_parts
from workbench.trace.batches import plan_batches


@dataclass(frozen=True)
class Evidence:
    """The tables of the passes that were made, by name; lines in order of ``row``, which counts
    ``asked``.
    """

    asked: tuple[Asked, ...]
    tables: dict[str, pd.DataFrame]

    def column(self, name: str, column: str) -> NDArray[np.float64]:
        """Return one column [rows] of a pass with one line per row."""
        return self.tables[name][column].to_numpy(dtype=np.float64)

    def summed(self, name: str, column: str) -> NDArray[np.float64]:
        """Return the sum [rows] over each row's lines."""
        return self.tables[name].groupby(ROW)[column].sum().to_numpy(dtype=np.float64)

    def first(self, name: str, column: str) -> NDArray[np.float64]:
        """Return the value [rows] in each row's first line."""
        return self.tables[name].groupby(ROW)[column].first().to_numpy(dtype=np.float64)

    @cached_property
    def consistency(self) -> pd.DataFrame:
        """The shares of agreeing samples, one line per row."""
        return consistency(self.tables["samples"], self.asked)

    @cached_property
    def entropies(self) -> pd.DataFrame:
        """The semantic entropies, one line per row."""
        return semantic_entropies(self.tables["samples"], self.tables["groups"])


@dataclass(frozen=True)
class _Work:
    lm: LanguageModel
    asked: tuple[Asked, ...]
    queries: tuple[str, ...]
    settings: BaselineSettings
    stage: StageStore | None

    def parts(
        self,
        lengths: Sequence[int],
        budget: int,
        compute: Callable[[Rows], pd.DataFrame],
        what: str,
    ) -> pd.DataFrame:
        """Run ``compute`` over all rows in batches of similar ``lengths``; return the joined
        tables.
        """
        batches = plan_batches(lengths, budget)

        def part(rows: Rows) -> Part:
            return Part(compute(rows), {})

        if self.stage is not None:
            return run_parts(self.stage, batches, part, what).table
        return compute_parts(batches, part, what).table

    def of(self, rows: Rows) -> list[Asked]:
        return [self.asked[row] for row in rows]


def run_pass_table(
    lm: LanguageModel,
    asked: Sequence[Asked],
    passes: Sequence[str],
    queries: Sequence[str],
    settings: BaselineSettings,
    stage: StageStore | None,
) -> Evidence:
    """Make ``passes`` (names of PASSES) over every question; ``queries`` are those of the forced
    pass.
    """
    work = _Work(lm, tuple(asked), tuple(queries), settings, stage)
    check_lengths(lm, *_lengths(work, passes), settings.tokens_per_forward)
    tables: dict[str, pd.DataFrame] = {}
    for name, make in PASSES.items():
        if name in passes:
            tables[name] = make(work, tables)
    return Evidence(work.asked, tables)


def _lengths(work: _Work, passes: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return, for each question, the most tokens that ``passes`` put in a row, and the questions'
    names.
    """
    settings, tokenizer = work.settings, work.lm.tokenizer
    lengths = [len(one.prompt) + settings.answer_tokens for one in work.asked]
    if "forced" in passes:
        extra = chain_tokens(
            tokenizer, format_for(settings.format, tokenizer), work.asked[:1], work.queries
        )
        lengths = [
            max(n, len(one.answered) + extra) for n, one in zip(lengths, work.asked, strict=True)
        ]
    if "list" in passes:
        listed = [
            len(list_prompt(tokenizer, one.text, settings.guesses)) + settings.list_tokens
            for one in work.asked
        ]
        lengths = [max(pair) for pair in zip(lengths, listed, strict=True)]
    return lengths, [f"question {one.question.id!r}" for one in work.asked]


def _forced(work: _Work, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    fmt = format_for(work.settings.format, work.lm.tokenizer)
    extra = chain_tokens(work.lm.tokenizer, fmt, work.asked[:1], work.queries)
    return work.parts(
        [len(one.answered) + extra for one in work.asked],
        work.settings.tokens_per_forward,
        lambda rows: forced_batch(work.lm, fmt, work.of(rows), rows, work.queries),
        "scoring answers",
    )


def _samples(work: _Work, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    settings = work.settings
    return work.parts(
        [settings.samples * (len(one.prompt) + settings.answer_tokens) for one in work.asked],
        settings.tokens_held,
        lambda rows: sampled_batch(work.lm, work.of(rows), rows, settings),
        "sampling answers",
    )


def _groups(work: _Work, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    texts = tables["samples"].groupby(ROW)["text"].agg(list).tolist()
    return work.parts(
        [len(one.prompt) for one in work.asked],
        max(1, work.settings.tokens_held // 2),
        lambda rows: grouped_batch(
            work.lm, work.of(rows), [texts[row] for row in rows], rows, work.settings
        ),
        "comparing answers",
    )


def _list(work: _Work, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    settings = work.settings
    prompts = [list_prompt(work.lm.tokenizer, one.text, settings.guesses) for one in work.asked]
    return work.parts(
        [len(prompt) + settings.list_tokens for prompt in prompts],
        settings.tokens_per_forward,
        lambda rows: listed_batch(work.lm, work.of(rows), rows, settings),
        "listing guesses",
    )


def _stated(work: _Work, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    tokenizer, one = work.lm.tokenizer, work.asked[0]
    fmt = format_for(work.settings.format, tokenizer)
    numbers = scale_tokens(tokenizer, fmt)
    conversation = confidence_conversation(tokenizer, fmt, numbers, one.text, one.answer)
    extra = len(conversation.tokens) - len(one.answered) + numbers.trie.tree.size
    return work.parts(
        [len(each.answered) + extra for each in work.asked],
        work.settings.tokens_per_forward,
        lambda rows: stated_batch(work.lm, fmt, numbers, work.of(rows), rows),
        "reading stated confidence",
    )


PASSES: dict[str, Callable[[_Work, dict[str, pd.DataFrame]], pd.DataFrame]] = {
    "stated": _stated,
    "forced": _forced,
    "samples": _samples,
    "groups": _groups,
    "list": _list,
}
"""The passes, in the order in which they are made."""
