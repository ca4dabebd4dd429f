"""Which held-out questions are patched, and how many: work counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench.config import PatchSettings
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import (
    choose_items,
    patched_items,
    work_before,
    work_per_question,
)
from workbench.loop.run import Run


def questions(sides: str, domains: str) -> pd.DataFrame:
    names = {"r": "train", "e": "test"}
    return pd.DataFrame(
        {"row": range(len(sides)), "split": [names[s] for s in sides], "domain": list(domains)}
    )


def test_items_are_held_out_and_even_over_domains() -> None:
    table = questions("reeeeeeere", "aaaaaaabbc")
    for seed in range(10):
        chosen = choose_items(table, 3, seed)
        assert chosen.tolist() == sorted(chosen.tolist())
        domains = [table["domain"][row] for row in chosen]
        assert domains[1:] == ["b", "c"]
        assert domains[0] == "a"
        assert all(table["split"][row] == "test" for row in chosen)
    assert len({tuple(choose_items(table, 3, seed)) for seed in range(20)}) > 1
    assert choose_items(table, 99, 0).tolist() == [1, 2, 3, 4, 5, 6, 7, 9]


def with_patch(context: Run, **changes: object) -> Run:
    patch = PatchSettings.model_validate({**context.config.patch.model_dump(), **changes})
    return Run(
        context.config.model_copy(update={"patch": patch}),
        context.store,
        context.figures,
        keys=context.keys,
        loaded=context.loaded,
    )


def test_work_by_hand(context: Run) -> None:
    """Four layers, all swept or the first and the last: a branch after layer l has 4 - l layers
    before it, so 4 + 3 + 2 + 1 for all and 4 + 1 for two.
    """
    assert context.lm.n_layers == 4
    reply = context.reply
    assert reply is not None
    nodes = context.scale_tokens.trie.tree.size
    columns = 1 + nodes
    everywhere, controls = 3 * 10 * columns + 10 * columns, 2 * 5 * columns
    random_position = 5 * (columns + len(reply) // 2)
    found = work_per_question(context.config.patch, 4, 0, nodes, len(reply))
    assert found == everywhere + controls + random_position
    tokens = sum(len(each.tokens) for each in confidence_conversations(context))
    taught = context.stage("teach").facts()["tokens"]
    assert work_before(tokens, taught, 4, 0) == 4 * tokens + 2 * 2 * 4 * taught
    assert work_before(tokens, taught, 4, 3) == 4 * tokens + 2 * 2 * taught


def test_more_are_patched_while_they_fit(context: Run) -> None:
    fitting = 20
    nodes, reply = context.scale_tokens.trie.tree.size, len(context.reply or ())
    each = work_per_question(context.config.patch, 4, 0, nodes, reply)
    tokens = sum(len(one.tokens) for one in confidence_conversations(context))
    before = work_before(tokens, context.stage("teach").facts()["tokens"], 4, 0)
    share = (fitting + 0.5) * each / before
    assert len(patched_items(with_patch(context, share=share))) == fitting
    assert len(patched_items(with_patch(context, share=share / 10))) == 8
    assert len(patched_items(with_patch(context, share=0))) == 8


@pytest.mark.parametrize("share", [10.0])
def test_never_more_than_are_held_out(context: Run, share: float) -> None:
    table = context.stage("questions").table("questions")
    held_out = int((table["split"] == "test").sum())
    found = patched_items(with_patch(context, share=share, n_questions=10**6))
    assert len(found) == held_out
