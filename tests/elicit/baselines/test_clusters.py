from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.clusters import grouped_batch
from workbench.elicit.baselines.equality import answer_key
from workbench.elicit.baselines.queries import EQUIVALENCE
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.models import LanguageModel, Turn, encode

TEXTS = (
    ("Paris", "Lyon", "paris.", "Paris, France", "Nice", "the Lyon", "Metz"),
    ("391", "400", "391", "12", "13", "14", "15"),
    ("x", "x", "x", "X", "x.", "x", "x"),
)


def judged(lm: LanguageModel, brute: Any, question: str, first: str, second: str) -> bool:
    """Plain forwards of the whole query."""
    text = EQUIVALENCE.text.format(question=question, first=first, second=second)
    strings = [string for spellings in EQUIVALENCE.spellings for string in spellings]
    found = dict(
        zip(
            strings,
            brute(lm).spelled((Turn("user", text),), EQUIVALENCE.opening, strings),
            strict=True,
        )
    )
    yes, no = (max(found[string] for string in spellings) for spellings in EQUIVALENCE.spellings)
    return yes > no


def grouped_plainly(
    lm: LanguageModel, brute: Any, one: Asked, texts: tuple[str, ...]
) -> tuple[list[int], int]:
    """Groups and number of queries, pair by pair."""
    firsts: list[str] = []
    known: dict[Any, int] = {}
    queries, groups = 0, []
    for text in texts:
        key = answer_key(text, one.question)
        if key not in known:
            for group, first in enumerate(firsts):
                queries += 1
                if judged(lm, brute, one.question.text, text, first):
                    queries += 1
                    if judged(lm, brute, one.question.text, first, text):
                        known[key] = group
                        break
            else:
                known[key] = len(firsts)
                firsts.append(text)
        groups.append(known[key])
    return groups, queries


@pytest.mark.parametrize(("seed", "tokenizer"), [(0, "digits"), (1, "merged_space"), (4, "digits")])
def test_groups_and_queries_are_those_of_plain_forwards(
    make_tiny: Callable[..., LanguageModel], make_asked: Callable[[LanguageModel], list[Asked]], brute: Any,
    seed: int, tokenizer: str,
) -> None:  # fmt: skip
    lm = make_tiny(tokenizer=tokenizer, seed=seed)
    with torch.no_grad():
        # Otherwise the judge of a random model says the same of every pair.
        lm.head().weight *= 4
        for layer in lm.base().model.layers:
            layer.self_attn.o_proj.weight *= 6
    asked = make_asked(lm)[:3]
    table = grouped_batch(
        lm, asked, TEXTS, np.asarray([7, 8, 9]), BaselineSettings(tokens_held=600)
    )
    queries = []
    for row, one, texts in zip((7, 8, 9), asked, TEXTS, strict=True):
        mine = table[table["row"] == row]
        groups, asked_for = grouped_plainly(lm, brute, one, texts)
        assert mine["group"].tolist() == groups
        assert mine["queries"].unique().tolist() == [asked_for]
        queries.append(asked_for)
    assert table["distinct"].tolist() == [5] * 7 + [6] * 7 + [1] * 7
    assert queries[2] == 0
    assert table["tokens"].tolist()[-1] == 0
    assert table["group"].max() > 0


def test_costs_count_the_shared_beginning_once(
    tiny_lm: LanguageModel, make_asked: Callable[[LanguageModel], list[Asked]]
) -> None:
    one = make_asked(tiny_lm)[0]
    table = grouped_batch(tiny_lm, [one], [("abc", "xyz")], np.asarray([0]), BaselineSettings())
    found = EQUIVALENCE.alternatives(tiny_lm.tokenizer)

    def tokens(first: str, second: str) -> list[int]:
        text = EQUIVALENCE.text.format(question=one.question.text, first=first, second=second)
        return [
            *encode(tiny_lm.tokenizer, (Turn("user", text),), EQUIVALENCE.opening),
            *found.shared,
        ]

    whole = tokens("xyz", "abc")
    shared = next(
        i for i, (a, b) in enumerate(zip(whole, tokens("abc", "abc"), strict=True)) if a != b
    )
    queries = int(table["queries"][0])
    assert queries in (1, 2)
    assert table["tokens"][0] == shared + queries * (len(whole) - shared + found.nodes)
