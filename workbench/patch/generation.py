"""Generate greedily with and without a patch, token by token.

Every step runs both texts, prompt and what was generated so far, as a batch of two and reads the
next token unpatched of the first and patched of the second, so a patch inside the prompt acts as it
does in any sweep. Nothing is kept between steps: a step costs a forward of both texts and the
branch. That is for a few tokens; :mod:`workbench.elicit.generate` writes long texts.

Greedy text is one path: a patch that leaves it as it is may still have moved all probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.ends import end_tokens
from workbench.trace import patch_branches
from workbench.trace.interventions import Branch


def generate_patched(
    lm: LanguageModel,
    prompt: Sequence[int],
    branch_of: Callable[[int], Branch],
    limit: int,
    *,
    tokens_per_forward: int,
) -> Iterator[tuple[int | None, int | None]]:
    """Yield the next token without the patch and with it, at most ``limit`` times; None after a
    text's end.

    Args:
        branch_of: the patches, of one row, for a text of so many tokens.
    """
    ends = {*end_tokens(lm)}
    texts = [list(prompt), list(prompt)]
    over = [False, False]
    both = torch.zeros(2, dtype=torch.long)  # the one row, for either text
    for step in range(limit):
        # An adapter on the prompt's last tokens acts on all that follow them, too.
        acting = lm.invocation_length
        model = lm if acting is None else replace(lm, invocation_length=acting + step)
        branch = [each.of_rows(both) for each in branch_of(len(texts[0]))]
        found = patch_branches(model, texts, [branch], _best, tokens_per_forward=tokens_per_forward)
        chosen = [int(found.base[0]), int(found.patched[1, 0])]
        shown = [None if done else token for done, token in zip(over, chosen, strict=True)]
        for text, token in zip(texts, chosen, strict=True):
            text.append(token)
        over = [done or token in ends for done, token in zip(over, chosen, strict=True)]
        yield shown[0], shown[1]
        if all(over):
            return


def _best(logits: Tensor) -> Tensor:
    return logits.argmax(dim=-1)
