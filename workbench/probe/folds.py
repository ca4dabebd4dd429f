"""Split rows into training and held-out ones, for an outer cross-fit and the choice of C inside it.

The questions are split into stratified outer folds. For outer fold k, C is chosen on the rows
outside k alone, by inner folds of those rows. With ``inner_folds == folds - 1`` the inner folds are
the other outer folds, so the model that leaves out folds j and k serves the choice for k (tested on
j) and for j (tested on k): half the work, and still no model that judges a choice for fold k has
seen fold k. Any other number splits the rows outside k afresh, stratified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from workbench.arrays import Rows
from workbench.errors import WorkbenchError
from workbench.settings.defaults import PROBE_MEMORY_BYTES

Criterion = Literal["log_loss", "auroc2"]
FEWEST_PER_CLASS = 10


@dataclass(frozen=True)
class ProbeSettings:
    """The settings of a probe: outer folds, inner folds, grid of C (inverse penalty on standardised
    features), seed of the splits, and the memory that fitting may take.
    """

    folds: int
    inner_folds: int
    inverse_penalties: tuple[float, ...]
    seed: int
    memory_bytes: int = PROBE_MEMORY_BYTES

    def __post_init__(self) -> None:
        if self.folds < 3 or self.inner_folds < 2:
            raise WorkbenchError(
                f"folds = {self.folds}, inner_folds = {self.inner_folds}: a nested choice needs at "
                "least 3 and 2"
            )
        if not self.inverse_penalties or not all(
            np.isfinite(c) and c > 0 for c in self.inverse_penalties
        ):
            raise WorkbenchError(
                "inverse_penalties must hold at least one C, all above 0; got "
                f"{self.inverse_penalties}"
            )
        if len(set(self.inverse_penalties)) != len(self.inverse_penalties):
            raise WorkbenchError(
                f"inverse_penalties repeats a value: {self.inverse_penalties}; list each C once"
            )


@dataclass(frozen=True)
class Split:
    """The rows a model is fitted on and the rows it is tested on, disjoint."""

    train: Rows
    test: Rows

    def __post_init__(self) -> None:
        if len(np.intersect1d(self.train, self.test)):
            raise ValueError("a row is in both the training and the test rows of a split")


@dataclass(frozen=True)
class Plan:
    """The plan of a nested cross-fit: ``outer[k]`` holds out fold k of ``fold_of`` [n];
    ``inner[k]`` are the splits of the rows outside k that choose its C.
    """

    fold_of: Rows
    outer: tuple[Split, ...]
    inner: tuple[tuple[Split, ...], ...]


def check_labels(correct: NDArray[np.bool_], settings: ProbeSettings) -> None:
    """Refuse ``correct`` [n] that cannot be cross-fitted.

    Raises:
        WorkbenchError: for too few rows, or too few of one class.
    """
    n, right = len(correct), int(correct.sum())
    wrong = n - right
    if n < settings.folds:
        raise WorkbenchError(
            f"{n} training questions cannot fill {settings.folds} folds; use more questions"
        )
    if right == 0 or wrong == 0:
        name = "wrong" if right == 0 else "right"
        raise WorkbenchError(
            f"all {n} training answers are {name}, so there is nothing to tell apart; mix in "
            f"{'easier' if right == 0 else 'harder'} questions"
        )
    smallest = max(FEWEST_PER_CLASS, settings.folds)
    if min(right, wrong) < smallest:
        raise WorkbenchError(
            f"only {right} right and {wrong} wrong training answers; a probe with {settings.folds} "
            "folds needs at least "
            f"{smallest} of each: use more questions, or a set nearer to half right"
        )


def stratified_folds(correct: NDArray[np.bool_], settings: ProbeSettings) -> Rows:
    """Return the outer fold [n] of each row, with about the same share of right answers in all
    folds. It depends on labels and seed only.
    """
    return _stratified(correct, settings.folds, settings.seed)


def plan_folds(correct: NDArray[np.bool_], fold_of: Rows, settings: ProbeSettings) -> Plan:
    """Make the outer and inner splits for ``fold_of`` [n] with values 0..folds-1.

    Raises:
        WorkbenchError: when a training part would lack one class.
    """
    if fold_of.shape != correct.shape or set(fold_of.tolist()) != set(range(settings.folds)):
        raise WorkbenchError(
            f"fold_of must give each of the {len(correct)} questions a fold from 0 to "
            f"{settings.folds - 1}, none empty"
        )
    outer = tuple(
        Split(np.flatnonzero(fold_of != k), np.flatnonzero(fold_of == k))
        for k in range(settings.folds)
    )
    inner = tuple(
        _inner(correct, fold_of, k, outer[k].train, settings) for k in range(settings.folds)
    )
    for split in [*outer, *(one for group in inner for one in group)]:
        if correct[split.train].all() or not correct[split.train].any():
            raise WorkbenchError(
                "a training part of the cross-validation has answers of one class only; use fewer "
                "folds, more questions, "
                "or the stratified folds"
            )
    return Plan(fold_of, outer, inner)


def count_training_sets(plan: Plan) -> int:
    """Return how many different rows are trained on, those of the final probe, all, among them."""
    splits = [*plan.outer, *(one for group in plan.inner for one in group)]
    return len({split.train.tobytes() for split in splits}) + 1


def _inner(
    correct: NDArray[np.bool_], fold_of: Rows, k: int, rows: Rows, settings: ProbeSettings
) -> tuple[Split, ...]:
    if settings.inner_folds == settings.folds - 1:
        part = fold_of[rows]
        names = [j for j in range(settings.folds) if j != k]
    else:
        part = _stratified(correct[rows], settings.inner_folds, settings.seed + 1 + k)
        names = list(range(settings.inner_folds))
    return tuple(Split(rows[part != j], rows[part == j]) for j in names)


def _stratified(correct: NDArray[np.bool_], folds: int, seed: int) -> Rows:
    fewest = int(min(correct.sum(), (~correct).sum()))
    if fewest < folds:
        raise WorkbenchError(
            f"the smaller class has {fewest} answers, too few for {folds} folds; use fewer folds"
        )
    assigned = np.zeros(len(correct), dtype=np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for k, (_, test) in enumerate(splitter.split(np.zeros(len(correct)), correct)):
        assigned[test] = k
    return assigned
