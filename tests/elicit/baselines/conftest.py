from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch

from workbench.elicit.baselines.answered_question import Asked, ask
from workbench.elicit.formats import format_named
from workbench.models import LanguageModel, Turn, encode
from workbench.questions import Question

ITEMS = (
    ("What is the capital of France?", "Paris", "open"),
    ("What is 17 times 23?", "391", "numeric"),
    ("Who?", "", "open"),
    (
        "In which country is the city of Lyon, and since when has it been there?",
        "The old town of it",
        "open",
    ),
)


@dataclass(frozen=True)
class Brute:
    """The host library's plain forwards, one unpadded string at a time."""

    lm: LanguageModel

    def log_probabilities(self, tokens: Sequence[int]) -> torch.Tensor:
        """[tokens, vocab] behind each token."""
        with torch.no_grad():
            return (
                self.lm.base()(input_ids=torch.tensor([list(tokens)]))
                .logits[0]
                .double()
                .log_softmax(dim=-1)
            )

    def spelled(self, turns: Sequence[Turn], opening: str, strings: Sequence[str]) -> list[float]:
        """Probability of every string behind the opening, less that of the others it begins."""
        before = encode(self.lm.tokenizer, turns, opening)
        whole = [encode(self.lm.tokenizer, turns, opening + string) for string in strings]
        found = []
        for ids in whole:
            log = self.log_probabilities(ids)
            total = sum(float(log[at - 1, ids[at]]) for at in range(len(before), len(ids)))
            longer = {
                other[len(ids)]
                for other in whole
                if len(other) > len(ids) and other[: len(ids)] == ids
            }
            found.append(
                float(torch.tensor(total).exp())
                * (1 - sum(float(log[-1, t].exp()) for t in longer))
            )
        return found


@pytest.fixture
def brute() -> Callable[[LanguageModel], Brute]:
    return Brute


def questions_of(items: Sequence[tuple[str, str, str]] = ITEMS) -> list[Question]:
    return [
        Question(f"q{i}", text, ("7",), "a" if i % 2 else "b", "test", "none", kind)  # type: ignore[arg-type]
        for i, (text, _, kind) in enumerate(items)
    ]


@pytest.fixture
def make_asked() -> Callable[[LanguageModel], list[Asked]]:
    """Four questions with given answers, one of them empty."""

    def make(lm: LanguageModel) -> list[Asked]:
        return ask(
            lm.tokenizer,
            format_named("percent"),
            questions_of(),
            [answer for _, answer, _ in ITEMS],
        )

    return make


@pytest.fixture
def make_choices() -> Callable[[LanguageModel], list[Asked]]:
    """Two choice questions of different numbers of options."""

    def make(lm: LanguageModel) -> list[Asked]:
        texts = [
            "Which is red?\nA. sky\nB. blood",
            "Which is odd?\n(A) 2\n(B) 4\n(C) 9\nSay a letter.",
        ]
        questions = [
            Question(f"c{i}", text, ("B",), "d", "test", "none", "choice")
            for i, text in enumerate(texts)
        ]
        return ask(lm.tokenizer, format_named("percent"), questions, ["B", "C"])

    return make
