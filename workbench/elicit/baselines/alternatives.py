"""Put a closed question to the model: which of a few strings would its reply begin with?

Every string is tokenised after the reply's opening as part of the whole, so merged spaces and
strings of several tokens come out right; tokens they share belong to the prompt, the rest is a
trie, scored as packed nodes. Strings that the tokenizer merges with the opening are left out. The
probability of a string is the model's, over the whole vocabulary; the caller divides by the sum
over the strings.

What it does not show: what else the model might have said. A small sum means that it would not have
answered in these words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.trie import ScaleTrie, build_trie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.models.unembed import unembed_reduced


@dataclass(frozen=True)
class Alternatives:
    """The token paths of strings that continue an opening.

    Attributes:
        shared: tokens all of them begin with after the opening.
        trie: of the tokens that differ; its values number the remaining strings.
        owners: [strings] which of the caller's alternatives each string spells.
    """

    shared: tuple[int, ...]
    trie: ScaleTrie
    owners: tuple[int, ...]

    @property
    def nodes(self) -> int:
        """The number of tokens scored after the opening and ``shared``."""
        return self.trie.tree.size

    def largest(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the largest probability among the strings that spell each alternative: [...,
        strings] -> [..., alternatives].
        """
        owners = np.asarray(self.owners)
        return np.stack(
            [probabilities[..., owners == one].max(axis=-1) for one in range(max(owners) + 1)],
            axis=-1,
        )

    def probabilities(self, lm: LanguageModel, ends: Tensor) -> NDArray[np.float64]:
        """Return the strings' probabilities [rows, strings] from the states ``ends`` [rows, 1 +
        nodes, width] after the final norm, the opening's last one first.
        """
        return self.trie.distribution(unembed_reduced(lm, ends, self.trie.readout))


def alternatives(
    tokenizer: Any, turns: Sequence[Turn], opening: str, spellings: Sequence[Sequence[str]]
) -> Alternatives:
    """Tokenise the strings ``spellings`` [alternatives][strings] after a reply that begins with
    ``opening``.

    ``turns`` represent any conversation: the tokens after the opening must not depend on them.

    Raises:
        WorkbenchError: where no string of an alternative can be told apart from the opening or from
            another alternative.
    """
    before = tuple(encode(tokenizer, turns, opening))
    paths: dict[tuple[int, ...], int] = {}
    for owner, strings in enumerate(spellings):
        for string in strings:
            whole = tuple(encode(tokenizer, turns, opening + string))
            path = whole[len(before) :]
            if whole[: len(before)] == before and path and paths.setdefault(path, owner) != owner:
                raise WorkbenchError(
                    f"The tokenizer writes {string!r} like another alternative; choose other words."
                )
    missing = set(range(len(spellings))) - set(paths.values())
    if missing:
        raise WorkbenchError(
            f"The tokenizer merges {list(spellings[min(missing)])!r} with the opening {opening!r}; "
            "end the opening in a "
            "character that stands alone, such as a colon."
        )
    size = _shared(list(paths))
    trie = build_trie([path[size:] for path in paths], range(len(paths)))
    return Alternatives(next(iter(paths))[:size], trie, tuple(paths.values()))


def share_of(probabilities: NDArray[np.float64], chosen: int) -> NDArray[np.float64]:
    """Return the probability of one alternative as a share of all: [..., alternatives] -> [...]."""
    return probabilities[..., chosen] / probabilities.sum(axis=-1)


def _shared(paths: Sequence[tuple[int, ...]]) -> int:
    """Return how many tokens all paths begin with, leaving at least one of each."""
    shortest = min(len(path) for path in paths)
    return next(
        (size for size in range(shortest - 1, 0, -1) if len({path[:size] for path in paths}) == 1),
        0,
    )
