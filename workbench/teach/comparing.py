"""Examples that compare two questions: which of them would be answered correctly more likely, chosen before answering.

Pairs are drawn among the training questions whose targets differ by ``MARGIN`` at least, so that the two stand in different bins of
confidence; each question comes up about equally often, and the better one stands first in every other pair. The target is all
probability on its name. What it does not show: how far apart two questions are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.conversation import number_prefix, pair_conversation
from workbench.elicit.formats import PAIRWISE
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.examples import Example, distribution_examples

MARGIN = 0.1
MOST_ROUNDS = 20


def drawn_pairs(targets: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """[pairs, 2] question numbers in the order they are shown, at most ``count``; first and second are better in turn.

    Errors: WorkbenchError where no two targets differ by MARGIN.
    """
    if np.ptp(targets) < MARGIN:
        raise WorkbenchError(
            f"No two targets differ by {MARGIN:g}, so there are no pairs to compare; take more questions."
        )
    rng = np.random.default_rng(seed)
    found: list[tuple[int, int]] = []
    for _ in range(MOST_ROUNDS):
        one, other = rng.permutation(len(targets)), rng.permutation(len(targets))
        apart = np.abs(targets[one] - targets[other]) >= MARGIN
        found += zip(one[apart].tolist(), other[apart].tolist(), strict=True)
        if len(found) >= count:
            break
    pairs = np.array(found[:count])
    better_first = targets[pairs[:, 0]] > targets[pairs[:, 1]]
    wanted = np.arange(len(pairs)) % 2 == 0
    swap = better_first != wanted
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs


def pair_examples(
    lm: LanguageModel, questions: Sequence[str], targets: NDArray[np.float64], count: int, seed: int
) -> list[Example]:
    """``count`` comparisons of ``questions`` by their ``targets``, each ending in the better one's name."""
    pairs = drawn_pairs(targets, count, seed)
    numbers = number_prefix(lm.tokenizer, PAIRWISE)
    conversations = [pair_conversation(lm.tokenizer, PAIRWISE, numbers, questions[a], questions[b]) for a, b in pairs]
    shares = np.asarray(numbers.scale.shares)
    first = targets[pairs[:, 0]] > targets[pairs[:, 1]]
    wanted = np.where(first[:, None], shares == 1, shares == 0).astype(np.float64)
    return distribution_examples(lm.tokenizer, PAIRWISE, numbers, conversations, wanted)


def within_budget(examples: Sequence[Example], tokens: float) -> list[Example]:
    """The first examples, whose prompts and targets are ``tokens`` together at most, one at least."""
    spent = np.cumsum([size_of(example) for example in examples])
    return list(examples[: max(1, int(np.searchsorted(spent, tokens, side="right")))])


def size_of(example: Example) -> int:
    """Tokens of the prompt and of what should follow."""
    return len(example.prompt) + example.continuation.size
