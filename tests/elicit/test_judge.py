from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.elicit.judge import EQUIVALENCE, judge_equivalence, judged
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.questions.grading import grade
from workbench.questions.schema import Question

QUESTIONS = [
    Question(f"q{i}", text, answers, "d", "s", "")
    for i, (text, answers) in enumerate(
        [
            ("Who wrote Emma?", ("Jane Austen", "Austen")),
            ("Who wrote Faust?", ("Goethe",)),
            ("Who?", ("Ann",)),
        ]
        * 2
    )
]
REPLIES = [
    "Austen wrote it",
    "Schiller, a poet of whom much is known",
    "Ann",
    "Miss Austen",
    "Goethe",
    "Bob",
]


def by_itself(lm: LanguageModel, question: Question, reply: str) -> float:
    """P(yes) from the model's own forward over the one string, no padding, no batch."""
    text = EQUIVALENCE.question.format(
        question=question.text, answers="; ".join(question.answers), reply=reply
    )
    turns = (Turn("system", EQUIVALENCE.system), Turn("user", text))
    yes, no = (
        encode(lm.tokenizer, turns, EQUIVALENCE.opening + word)
        for word in (EQUIVALENCE.yes, EQUIVALENCE.no)
    )
    start = next(i for i in range(len(yes)) if yes[i] != no[i])
    with torch.no_grad():
        logits = lm.model(torch.tensor([yes[:start]])).logits[0, -1].double()
    return float(torch.sigmoid(logits[yes[start]] - logits[no[start]]))


@pytest.mark.parametrize("tokenizer", ["digits", "merged_space"])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_p_yes_is_that_of_the_string_alone(
    make_tiny: Callable[..., LanguageModel], family: str, tokenizer: str
) -> None:
    lm = make_tiny(family=family, tokenizer=tokenizer)
    expected = [
        by_itself(lm, question, reply) for question, reply in zip(QUESTIONS, REPLIES, strict=True)
    ]
    for tokens in (10_000, 1):
        found = judge_equivalence(lm, QUESTIONS, REPLIES, tokens_per_forward=tokens)
        assert found == pytest.approx(np.array(expected), abs=1e-5)
    assert len(set(expected)) == 6


def test_refusals_are_not_put_to_the_judge(tiny_lm: LanguageModel) -> None:
    replies = ["I don't know.", "Goethe", "", *REPLIES[3:]]
    found = judge_equivalence(tiny_lm, QUESTIONS, replies, tokens_per_forward=500)
    assert found[[0, 2]].tolist() == [0, 0]
    assert (found[[1, 3, 4, 5]] > 0).all()
    assert judge_equivalence(tiny_lm, QUESTIONS[:1], [""], tokens_per_forward=500).tolist() == [0]


def test_the_verdict_is_compared_with_alias_matching(tiny_lm: LanguageModel) -> None:
    found = judged(tiny_lm, QUESTIONS, REPLIES, tokens_per_forward=500, seed=0)
    by_alias = np.array(
        [grade(reply, question) for reply, question in zip(REPLIES, QUESTIONS, strict=True)]
    )
    assert by_alias.tolist() == [True, False, True, True, True, False]
    assert found.right.tolist() == (found.p_yes > 0.5).tolist()
    counts = found.agreement
    assert (counts.both, counts.only_first) == (
        (by_alias & found.right).sum(),
        (by_alias & ~found.right).sum(),
    )
    assert counts.both + counts.only_first + counts.only_second + counts.neither == 6


def test_words_that_do_not_differ_and_wrong_questions_are_named(tiny_lm: LanguageModel) -> None:
    same = replace(EQUIVALENCE, no=EQUIVALENCE.yes)
    with pytest.raises(WorkbenchError, match="do not differ in a token"):
        judge_equivalence(tiny_lm, QUESTIONS, REPLIES, tokens_per_forward=500, prompt=same)
    with pytest.raises(WorkbenchError, match="6 questions and 1 replies"):
        judge_equivalence(tiny_lm, QUESTIONS, REPLIES[:1], tokens_per_forward=500)
    choice = Question("c", "Who?", ("A",), "d", "s", "", "choice", options=("Ann", "Bob"))
    with pytest.raises(WorkbenchError, match="'c' is not an open question"):
        judge_equivalence(tiny_lm, [choice], ["A"], tokens_per_forward=500)
