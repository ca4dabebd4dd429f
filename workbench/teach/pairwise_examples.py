"""Make examples that compare two questions: which of them would be answered correctly more likely,
chosen before answering.

The two questions of a pair come from different bins of what targets are made from, which are
distinguished by their levels (the accuracy of each), so the noise that blurs a target within its
bin decides no comparison; bins of one level are not compared. Each question comes up about equally
often, and the better one, that of the higher level, is first in every other pair. The target is all
probability on its name. It does not show how far apart two questions are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.conversation import pair_conversation, scale_tokens
from workbench.elicit.formats import PAIRWISE
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.examples import Example, distribution_examples

MOST_ROUNDS = 20


def drawn_pairs(levels: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw at most ``count`` pairs: [pairs, 2] question numbers in the order they are shown. First
    and second are better in turn.

    Raises:
        WorkbenchError: where all questions have the same of the ``levels`` [n].
    """
    if np.ptp(levels) == 0:
        raise WorkbenchError(
            "Answers were right equally often in every bin of questions, so there are no pairs to "
            "compare; take more questions."
        )
    rng = np.random.default_rng(seed)
    found: list[tuple[int, int]] = []
    for _ in range(MOST_ROUNDS):
        one, other = rng.permutation(len(levels)), rng.permutation(len(levels))
        apart = levels[one] != levels[other]
        found += zip(one[apart].tolist(), other[apart].tolist(), strict=True)
        if len(found) >= count:
            break
    pairs = np.array(found[:count])
    better_first = levels[pairs[:, 0]] > levels[pairs[:, 1]]
    wanted = np.arange(len(pairs)) % 2 == 0
    swap = better_first != wanted
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs


def pair_examples(
    lm: LanguageModel, questions: Sequence[str], levels: NDArray[np.float64], count: int, seed: int
) -> list[Example]:
    """Return ``count`` comparisons of ``questions`` by their ``levels``, each ending in the better
    one's name.
    """
    pairs = drawn_pairs(levels, count, seed)
    numbers = scale_tokens(lm.tokenizer, PAIRWISE)
    conversations = [
        pair_conversation(lm.tokenizer, PAIRWISE, numbers, questions[a], questions[b])
        for a, b in pairs
    ]
    shares = np.asarray(numbers.scale.shares)
    first = levels[pairs[:, 0]] > levels[pairs[:, 1]]
    wanted = np.where(first[:, None], shares == 1, shares == 0).astype(np.float64)
    return distribution_examples(lm.tokenizer, PAIRWISE, numbers, conversations, wanted)


def within_budget(examples: Sequence[Example], tokens: float) -> list[Example]:
    """Return the first examples whose prompts and targets together have at most ``tokens`` tokens;
    at least one.
    """
    spent = np.cumsum([size_of(example) for example in examples])
    return list(examples[: max(1, int(np.searchsorted(spent, tokens, side="right")))])


def size_of(example: Example) -> int:
    """Return how many tokens the prompt and what should follow have."""
    return len(example.prompt) + example.tree.size
