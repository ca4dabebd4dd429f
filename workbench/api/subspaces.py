"""Find the subspace through which a variable of asked questions acts on the stated confidence.

Directions after a layer, at the confidence position and the number's further tokens, are learned on
training questions and measured on held-out ones (:mod:`workbench.subspaces`). What the swap of a
learned subspace does is always shown beside its placebos, one of which is searched in a randomly
initialised model of the same shape, built here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.api.asked_prompts import tokens_of
from workbench.api.confidence import Asked
from workbench.api.display import result_html, show_result
from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.random_weights import random_like
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric, expected_confidence_of
from workbench.questions import prompt_text
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD, RESAMPLES
from workbench.subspaces.figure import swapped_figure
from workbench.subspaces.find import SplitPrompts, find_subspaces
from workbench.subspaces.result import PLACEBOS, FoundSubspace, require_placebos
from workbench.subspaces.rotation import Boundless
from workbench.subspaces.search import SearchSettings, require_rank
from workbench.subspaces.variable import Variable, parity_of_lengths
from workbench.trace.checks import require_layer

CONFIDENCE, CORRECT = "confidence", "correct"


@dataclass(frozen=True, eq=False)
class LearnedSubspaces:
    """Learned subspaces of one variable, each with its placebos."""

    found: tuple[FoundSubspace, ...]

    def table(self) -> pd.DataFrame:
        """Return a line for each subspace, each of its placebos and both ends, with intervals."""
        return pd.concat([each.table() for each in self.found], ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return accuracy and donor slope in words, a line for each thing swapped."""
        lines = [
            {
                "rank": each.rank,
                "swapped": name,
                "accuracy": f"{measures.accuracy:.2f}",
                "donor slope": f"{measures.donor_slope:.2f}",
            }
            for each in self.found
            for name, measures in each.rows().items()
        ]
        return pd.DataFrame(lines).set_index(["rank", "swapped"])

    def figure(self) -> go.Figure:
        """Draw accuracy and donor slope of every subspace beside those of its placebos."""
        return swapped_figure({each.name: each for each in self.found}).figure()

    def _ipython_display_(self) -> None:
        show_result(self.figure(), self.summary().to_html())

    def _repr_html_(self) -> str:
        return result_html(self.figure(), self.summary().to_html())


def find_subspace(
    asked: Asked,
    tuned: LanguageModel | None = None,
    *,
    layer: int,
    variable: Any = CONFIDENCE,
    rank: int | Boundless | Sequence[int | Boundless] = 1,
    settings: SearchSettings | None = None,
    placebos: Sequence[str] = PLACEBOS,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    resamples: int = RESAMPLES,
) -> LearnedSubspaces:
    """Search the subspace after ``layer`` whose swap brings another question's ``variable``.

    Args:
        asked: questions with training and held-out sides; those that could not be graded are left
            out.
        tuned: the model that is searched, where it is not the one that was asked.
        variable: "confidence", the searched model's own expected confidence; "correct", whether the
            answer is right; or a number for each graded question, higher where the readout should
            be.
        rank: 1 to 8 directions, a boundary that finds how many, or several of them.
        placebos: all of them; leaving one out is refused.

    Raises:
        WorkbenchError: before any forward, for arguments that do not fit.
    """
    graded, settings = asked.graded, settings or SearchSettings()
    lm = asked.lm if tuned is None else tuned
    ranks = [rank] if isinstance(rank, int | Boundless) else list(rank)
    require_placebos(placebos)
    require_layer(lm, layer)
    for each in ranks:
        require_rank(each, lm.width)
    metric = _metric(graded)
    sides = graded.train, graded.test
    if min(map(len, sides)) < 2:
        raise WorkbenchError(
            f"A search needs training and held-out questions; there are {len(sides[0])} and "
            f"{len(sides[1])} graded ones."
        )
    prompts = _split(lm, sides)
    values = _values(graded, variable, prompts, metric, tokens_per_forward)
    name = variable if isinstance(variable, str) else "variable"
    own = Variable(name, *values)
    other = own.ordered_by(
        "parity of the question's length",
        *(
            parity_of_lengths([prompt_text(each) for each in side.questions], settings.seed)
            for side in sides
        ),
    )
    found = find_subspaces(
        prompts,
        _split(random_like(lm, settings.seed), sides),
        metric,
        own,
        other,
        layer,
        ranks,
        settings=settings,
        placebos=placebos,
        tokens_per_forward=tokens_per_forward,
        resamples=resamples,
    )
    return LearnedSubspaces(tuple(found))


def _metric(asked: Asked) -> Metric:
    return expected_confidence_of(asked.scale_tokens.trie, asked.format.scale.certain)


def _split(lm: LanguageModel, sides: tuple[Asked, Asked]) -> SplitPrompts:
    train, held_out = (ModelInputs(lm, list(tokens_of(lm, side).rows)) for side in sides)
    return SplitPrompts(train, held_out)


def _values(
    asked: Asked, variable: Any, prompts: SplitPrompts, metric: Metric, tokens_per_forward: int
) -> tuple[Floats, Floats]:
    """Return the variable of training and held-out questions."""
    if isinstance(variable, str) and variable == CONFIDENCE:
        reading = Reading(metric, tokens_per_forward)
        train, held_out = (
            reading.unpatched(inputs).double().numpy()
            for inputs in (prompts.train, prompts.held_out)
        )
        return train, held_out
    if isinstance(variable, str) and variable == CORRECT:
        given = asked.correct.to_numpy(dtype=np.float64)
    elif isinstance(variable, str):
        raise WorkbenchError(
            f"A variable is 'confidence', 'correct' or a number for each question, not "
            f"{variable!r}."
        )
    else:
        given = np.asarray(variable, dtype=np.float64)
    if given.shape != (len(asked),):
        raise WorkbenchError(
            f"The variable has shape {given.shape}; give one number for each of the {len(asked)} "
            "graded questions."
        )
    return given[asked.side == "train"], given[asked.side == "test"]
