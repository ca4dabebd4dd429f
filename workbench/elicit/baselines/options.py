"""Read which option of a choice question the model would answer, and how sure it is: P_O and P_IC
of one forward (Kumar et al. 2024).

P_O is the largest probability among the ways to write the letter of option O (case, leading space)
where the answer begins; each way is tokenised after the answer's opening and taken from the whole
vocabulary. P_IC = max_O P_O / sum_O P_O: high means that one option stands out. Ties go to the
first letter.

P_IC does not show whether the model answers by a letter at all. (``mass``, the sum over options,
says so; a letter counts whatever would follow it.) Nor does it show a preference for a letter
whatever the question: a model that always prefers A has a high P_IC and knows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.baselines.alternatives import Alternatives
from workbench.elicit.baselines.queries import option_alternatives
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts
from workbench.trace.token_tree import end_columns, tree_tail


@dataclass(frozen=True)
class OptionProbabilities:
    """The P_O of a batch: ``probability`` [rows, letters], NaN where a question does not offer the
    letter.
    """

    letters: tuple[str, ...]
    probability: NDArray[np.float64]

    @property
    def chosen(self) -> tuple[str, ...]:
        """The letter of the most probable option, [rows]."""
        return tuple(
            self.letters[place]
            for place in np.nan_to_num(self.probability, nan=-1.0).argmax(axis=1)
        )

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest option probability max_O P_O, [rows]."""
        return np.nanmax(self.probability, axis=1)

    @property
    def mass(self) -> NDArray[np.float64]:
        """The sum over options sum_O P_O, [rows]."""
        return np.nansum(self.probability, axis=1)

    @property
    def p_ic(self) -> NDArray[np.float64]:
        """The largest option's share of the sum, [rows]; NaN where every option has probability
        zero.
        """
        return np.divide(
            self.largest, self.mass, out=np.full(len(self.mass), np.nan), where=self.mass > 0
        )


def letters_offered(offered: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return every letter of a batch, in order.

    Raises:
        WorkbenchError: if a row offers none.
    """
    if not all(offered):
        raise WorkbenchError(
            "Only choice questions have options to weigh; leave the baselines of options out."
        )
    return tuple(sorted({letter for row in offered for letter in row}))


def weigh_options(
    found: Alternatives, probabilities: NDArray[np.float64], offered: Sequence[Sequence[str]]
) -> OptionProbabilities:
    """Compute P_O from the probabilities [rows, strings] of the ways to write all letters
    ``offered`` in the batch.
    """
    letters = letters_offered(offered)
    there = np.asarray([[letter in row for letter in letters] for row in offered])
    return OptionProbabilities(letters, np.where(there, found.largest(probabilities), np.nan))


def read_options(
    lm: LanguageModel,
    prefix: str,
    prompts: Sequence[Sequence[int]],
    offered: Sequence[Sequence[str]],
) -> OptionProbabilities:
    """Read P_O of one batch from one forward over its prompts.

    Args:
        prefix: what opens the answer, at the end of every prompt.
        prompts: token ids up to where the answer begins.
        offered: letters of each question's options.
    """
    found = option_alternatives(lm.tokenizer, prefix, letters_offered(offered))
    batch = pad_prompts(
        [(*tokens, *found.shared) for tokens in prompts], lm.tokenizer.pad_token_id, lm.device
    )
    nodes = found.trie.tree
    final = forward(lm, batch, tree_tail(batch, nodes), end_columns(batch, nodes)).final
    return weigh_options(found, found.probabilities(lm, final), offered)
