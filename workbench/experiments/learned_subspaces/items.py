"""Choose a run's training and held-out questions, and give each the variable that is looked for.

Directions are learned on questions of the run's training split and measured on held-out ones; both
are drawn evenly over domains. The other variable is the parity of the question's length, with the
first one's values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats, Rows
from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import Metric, expected_confidence_of
from workbench.questions import prompt_text
from workbench.subspaces.find import SplitPrompts
from workbench.subspaces.variable import Variable, parity_of_lengths

CONFIDENCE, CORRECT = "confidence", "correct"
FEWEST_TRAINED, FEWEST_HELD_OUT = 4, 2


@dataclass(frozen=True, eq=False)
class Side:
    """Questions of one split: their rows in the run's tables, conversations up to the number in
    tokens, wordings, grades and domains.
    """

    rows: Rows
    tokens: list[list[int]]
    texts: list[str]
    correct: Bools
    domain: np.ndarray


@dataclass(frozen=True, eq=False)
class Sides:
    """Training and held-out questions."""

    train: Side
    held_out: Side

    def prompts(self, lm: LanguageModel) -> SplitPrompts:
        """Return both sides' conversations as read by ``lm``."""
        return SplitPrompts(
            ModelInputs(lm, self.train.tokens), ModelInputs(lm, self.held_out.tokens)
        )


def choose_sides(run: Run, n_train: int, n_held_out: int) -> Sides:
    """Choose the questions.

    Raises:
        WorkbenchError: for a run with fewer than four training or two held-out questions.
    """
    table, questions = load_questions(run)
    seed = run.config.seed
    chosen = (
        choose_items(table, n_train, seed, split="train"),
        choose_items(table, n_held_out, seed),
    )
    if len(chosen[0]) < FEWEST_TRAINED or len(chosen[1]) < FEWEST_HELD_OUT:
        raise WorkbenchError(
            f"A search needs {FEWEST_TRAINED} training questions and {FEWEST_HELD_OUT} held-out "
            f"ones; the run has {len(chosen[0])} and {len(chosen[1])}: raise questions.limit."
        )
    everyone = confidence_conversations(run)
    graded = run.stage("answer").table("answers")["correct"]
    domain = table["domain"].to_numpy(dtype=str)
    # Answers that could not be graded are of neither split.
    train, held_out = (
        Side(
            rows,
            [list(everyone[row].tokens) for row in rows],
            [prompt_text(questions[row]) for row in rows],
            graded.iloc[rows].to_numpy(dtype=bool),
            domain[rows],
        )
        for rows in chosen
    )
    return Sides(train, held_out)


def metric_of(run: Run) -> Metric:
    """Return the metric: expected confidence."""
    return expected_confidence_of(run.scale_tokens.trie, run.fmt.scale.certain)


def variables_of(
    name: str, sides: Sides, prompts: SplitPrompts, reading: Reading, seed: int
) -> tuple[Variable, Variable]:
    """Return the variable, CONFIDENCE (the searched model's own) or CORRECT, and another of its
    base rate.
    """
    values: tuple[Floats, Floats]
    if name == CONFIDENCE:
        values = (
            reading.unpatched(prompts.train).double().cpu().numpy(),
            reading.unpatched(prompts.held_out).double().cpu().numpy(),
        )
    else:
        values = sides.train.correct.astype(np.float64), sides.held_out.correct.astype(np.float64)
    variable = Variable(name, *values)
    parities = (parity_of_lengths(side.texts, seed) for side in (sides.train, sides.held_out))
    return variable, variable.ordered_by("parity of the question's length", *parities)
