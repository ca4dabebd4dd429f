"""Score a run's held-out questions by its states, another model's states and the question's text.

One stage. The probe of the question's end is fitted at every third layer as the run's own is, on
training questions; its layer is chosen there. The probe after the answer is the run's. Beside the
other model both probes are fitted again on the questions that both were asked. The tables:
``scores`` has a row a held-out question and a column a score; ``pair`` the shared held-out
questions; ``layers`` AUROC2 within domain of the question-end probes by layer and model, held out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Bools, Floats, Rows
from workbench.elicit.conversation import QUESTION_END as POSITION
from workbench.errors import WorkbenchError
from workbench.experiments.self_knowledge.other_model import (
    OtherModel,
    shared_questions,
    sides_of,
)
from workbench.experiments.self_knowledge.text_classifiers import score_texts
from workbench.loop.answers import right_answers
from workbench.loop.probes import THINNED, probe_settings
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.states import question_end_states
from workbench.measure import auroc2_within
from workbench.mechanisms.works.question_scores import QUESTION_END
from workbench.pipeline.store import ROW, StageStore
from workbench.probe import apply, fit_layerwise, shuffled_scores
from workbench.probe.states import States
from workbench.questions import prompt_text

STAGE = "self_knowledge_scores"
SCORES, PAIR, LAYERS, SHUFFLES = "scores", "pair", "layers", "shuffled"
COUNT = 40
"""Probes of shuffled grades."""
OWN = "own"


def score_questions(run: Run, stage: StageStore, *, other: OtherModel | None) -> dict[str, Any]:
    """Score the held-out questions and save the tables.

    Raises:
        WorkbenchError: where the run recorded no states at the question's end.
    """
    states = question_end_states(run.stage("elicit"))
    if states is None:
        raise WorkbenchError(
            f"The run recorded no states at the {POSITION.replace('_', ' ')}, because reasoning "
            "stands between question and answer; use a run in a format without reasoning."
        )
    questions, texts = load_questions(run)
    train, test = (np.flatnonzero(questions["split"] == side) for side in ("train", "test"))
    right, domain = right_answers(run, train), questions["domain"].to_numpy(dtype=str)
    read = _Readings(run, states[train], right, states[test], domain[test], test)
    asked = [prompt_text(each) for each in texts]
    from_text = score_texts(
        [asked[row] for row in train],
        domain[train],
        right,
        [asked[row] for row in test],
        domain[test],
        run.config.seed,
    )
    columns = {QUESTION_END: read.scores, **from_text.of}
    stage.save_table(SCORES, pd.DataFrame({ROW: test, **columns}))
    stage.save_tensors(SHUFFLES, {SHUFFLES: read.shuffled(COUNT)})
    layers = [read.by_layer(OWN)]
    if other is not None:
        pair, curve = _score_pair(run, other, states)
        stage.save_table(PAIR, pair)
        layers.append(curve)
    stage.save_table(LAYERS, pd.concat(layers, ignore_index=True))
    return {
        "layer": read.layer,
        "best_input": from_text.best,
        "training": {name: float(value) for name, value in from_text.training.items()},
        "other": None if other is None else other.name,
    }


def _score_pair(run: Run, other: OtherModel, states: States) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the held-out questions that both models were asked, with both scores, and the other
    model's curve over layers.
    """
    shared = shared_questions(run, other.run)
    train, test = sides_of(run, shared.rows)
    rows = shared.rows
    questions, _ = load_questions(run)
    domain = questions["domain"].to_numpy(dtype=str)[rows]
    right = right_answers(run, rows[train])
    own, its = (
        _Readings(run, each[train], right, each[test], domain[test], rows[test])
        for each in (states[rows], shared.states)
    )
    table = pd.DataFrame(
        {
            ROW: rows[test],
            "own": own.scores,
            "other": its.scores,
            "other_correct": shared.correct[test],
        }
    )
    return table, its.by_layer(other.name)


class _Readings:
    """Question-end probes of some states, fitted on training questions and read on held-out
    ones.
    """

    def __init__(
        self,
        run: Run,
        states: States,
        correct: Bools,
        held_out: States,
        domain: np.ndarray,
        rows: Rows,
    ) -> None:
        """Fit at every third layer of ``states`` [n, layers, width]."""
        self._layers = np.arange(states.shape[1])[::-THINNED][::-1]
        fitted, tested = (each[:, self._layers, None] for each in (states, held_out))
        self._probe = fit_layerwise(fitted, correct, probe_settings(run))
        best = self._probe.best
        self._held_out: Floats = apply(self._probe, tested)[:, :, 0]
        self.layer = int(self._layers[best.layer])
        self.scores = self._held_out[:, best.layer]
        self._fitted, self._tested, self._seed = fitted, tested, run.config.seed
        self._depth, self._domain = states.shape[1], domain
        self._correct = right_answers(run, rows)

    def shuffled(self, count: int) -> Floats:
        """Return the scores [count, m] of probes of shuffled grades at the chosen layer."""
        return shuffled_scores(
            self._probe,
            self._probe.best,
            self._fitted,
            self._tested,
            n_shuffles=count,
            seed=self._seed,
        )

    def by_layer(self, model: str) -> pd.DataFrame:
        """Return AUROC2 within domain at each layer that was probed."""
        return pd.DataFrame(
            {
                "model": model,
                "layer": self._layers,
                "depth": (self._layers + 1) / self._depth,
                "auroc2_within": [
                    auroc2_within(scores, self._correct, self._domain)
                    for scores in self._held_out.T
                ],
            }
        )
