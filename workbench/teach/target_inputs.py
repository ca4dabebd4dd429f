"""Hold what targets are made from, and define the plain functions that make them.

A target is the probability that a training example should state. Functions here keep no state and
see training questions only; whether their values are probabilities is checked where they are used
(:func:`workbench.teach.targets.check_targets`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError


@dataclass(frozen=True, eq=False)
class TargetInputs:
    """The inputs of targets: the training questions, aligned.

    Attributes:
        row: [n] number of each question in the run.
        correct: [n] whether the base model's answer is right.
        domain: [n] domain of each question.
        sources: by name, [n] what the loop measured of each question, such as "probe": the
            cross-fitted probability.
        seed: seed of everything random in making targets.
    """

    row: NDArray[np.int64]
    correct: NDArray[np.bool_]
    domain: NDArray[np.str_]
    sources: Mapping[str, NDArray[np.float64]]
    seed: int

    def source(self, name: str) -> NDArray[np.float64]:
        """Return the values measured under this name.

        Raises:
            WorkbenchError: if the arm does not name this source.
        """
        if name not in self.sources:
            raise WorkbenchError(f"These targets need {name!r}; name it in the arm's sources.")
        return self.sources[name]


def probe_targets(inputs: TargetInputs) -> NDArray[np.float64]:
    """Return what a probe that never saw the question reads from the base model's states."""
    return inputs.source("probe")


def correctness_targets(inputs: TargetInputs) -> NDArray[np.float64]:
    """Return 1 for a right answer, 0 for a wrong one: [n]."""
    return inputs.correct.astype(np.float64)


def label_fraction(share: float) -> Callable[[TargetInputs], NDArray[np.int64]]:
    """Return the numbers of a share of the training questions, drawn by seed, for curves over the
    number of labels; ascending.
    """

    def drawn(inputs: TargetInputs) -> NDArray[np.int64]:
        order = np.random.default_rng(inputs.seed).permutation(len(inputs.row))
        return np.sort(order[: round(share * len(order))])

    return drawn


def check_both_kinds(correct: NDArray[np.bool_]) -> None:
    """Refuse training questions whose answers are all right or all wrong, because they do not show
    what tells right from wrong.

    Raises:
        WorkbenchError: if they are.
    """
    if correct.all() or not correct.any():
        raise WorkbenchError(
            f"All {len(correct)} training answers are {'right' if correct.all() else 'wrong'}, so "
            "there is nothing to tell "
            "apart; choose harder or easier questions, or more of them."
        )
