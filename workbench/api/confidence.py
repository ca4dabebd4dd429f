"""Ask a model questions, and hold its answers, how sure it said it was, and its recorded states.

Confidence is a share of certainty: higher is surer of being right. The split into training and test
questions goes by a hash of each question's text, so it is fixed before anything is fitted and is
the same in every run. AUROC2 is the probability that a right answer got the higher confidence.

Not shown: differences between domains, which a pooled AUROC2 mixes in, and use of the states read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.api.display import result_html, show_result
from workbench.api.summary import estimates_html, estimates_table, summarise_confidence
from workbench.config import ElicitSettings, RunConfig
from workbench.elicit.answer import Limits
from workbench.elicit.answer_table import THOUGHT, TRUNCATED
from workbench.elicit.ask import ask_texts
from workbench.elicit.conversation import POSITIONS, Conversation, ScaleTokens
from workbench.elicit.defaults import LIMITS
from workbench.elicit.format import Format
from workbench.elicit.formats import configured, format_named
from workbench.elicit.thought_positions import THOUGHT_POSITIONS, shows_thought
from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.models import LanguageModel
from workbench.models.plain_turns import is_plain
from workbench.models.thoughts import require_thoughts
from workbench.models.turn import History
from workbench.pipeline.store import ROW
from workbench.plots.confidence_histogram import ConfidenceHistogram
from workbench.questions import Question, grade_of, prompt_text, side_of
from workbench.settings.defaults import TOKENS_PER_FORWARD

DEFAULTS = RunConfig()


@dataclass(frozen=True, eq=False)
class Asked:
    """Questions that a model was asked, with its answers and its confidence in them.

    Attributes:
        lm: the model that was asked.
        format: the wording and the scale of the confidence.
        scale_tokens: how the scale's texts continue a conversation, with their number trie.
        questions: [n] what was asked.
        conversations: [n] tokens up to the confidence position, with the model's own answers.
        replies: one row per question: row, answer, correct, reasoning or thoughts (where the
            format has them), stated_text, stated, expected, mode, mass.
        distribution: [n, values] probability of each text of the scale.
        states: [n, layers, positions, width] residual stream, None where none was recorded.
        positions: the names of the recorded positions.
        side: [n] "train" or "test".

    Raises:
        WorkbenchError: for parts of different lengths.
    """

    lm: LanguageModel
    format: Format
    scale_tokens: ScaleTokens
    questions: tuple[Question, ...]
    conversations: tuple[Conversation, ...]
    replies: pd.DataFrame
    distribution: NDArray[np.float64]
    states: NDArray[np.float32] | None
    positions: tuple[str, ...]
    side: NDArray[np.str_]

    def __post_init__(self) -> None:
        counts = {
            "questions": len(self.questions),
            "conversations": len(self.conversations),
            "replies": len(self.replies),
            "distribution": len(self.distribution),
            "side": len(self.side),
        }
        if self.states is not None:
            counts["states"] = len(self.states)
        if len(set(counts.values())) > 1:
            raise WorkbenchError(f"Every question needs one row of each; there are {counts}.")

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, which: slice | Sequence[int] | NDArray[Any]) -> Asked:
        """Return some of the questions, chosen by a slice, their places, or a mask.

        Raises:
            WorkbenchError: for a single place.
        """
        places = np.arange(len(self))[which]
        if places.ndim != 1:
            raise WorkbenchError("Choose several questions, as in asked[:16] or asked[[3]].")
        return replace(
            self,
            questions=tuple(self.questions[place] for place in places),
            conversations=tuple(self.conversations[place] for place in places),
            replies=self.replies.iloc[places].reset_index(drop=True),
            distribution=self.distribution[places],
            states=None if self.states is None else self.states[places],
            side=self.side[places],
        )

    @property
    def train(self) -> Asked:
        """The questions that probes are fitted on and models are trained on."""
        return self[self.side == "train"]

    @property
    def test(self) -> Asked:
        """The held-out questions."""
        return self[self.side == "test"]

    @property
    def graded(self) -> Asked:
        """The questions whose answers could be graded."""
        return self[self.replies["correct"].notna().to_numpy(dtype=bool)]

    @property
    def row(self) -> NDArray[np.int64]:
        """[n] number of each question among all that were asked."""
        return self.replies[ROW].to_numpy(dtype=np.int64)

    @property
    def answers(self) -> tuple[str, ...]:
        """[n] the model's answers."""
        return tuple(self.replies["answer"])

    @property
    def correct(self) -> pd.Series[bool]:
        """[n] whether each answer is right; missing where it could not be graded."""
        return self.replies["correct"]

    @property
    def stated(self) -> NDArray[np.float64]:
        """[n] the confidence that the text states, NaN where it states none."""
        return self.replies["stated"].to_numpy(dtype=np.float64)

    @property
    def expected(self) -> NDArray[np.float64]:
        """[n] mean of the distribution over the scale."""
        return self.replies["expected"].to_numpy(dtype=np.float64)

    def table(self) -> pd.DataFrame:
        """Return one row per question: row, id, domain, question, side, format, and the replies."""
        about = pd.DataFrame(
            {
                ROW: self.row,
                "id": [question.id for question in self.questions],
                "domain": [question.domain for question in self.questions],
                "question": [prompt_text(question) for question in self.questions],
                "side": self.side,
                "format": self.format.name,
            }
        )
        return about.join(self.replies.drop(columns=ROW))

    def estimates(
        self, *, resamples: int = DEFAULTS.bootstrap_resamples, seed: int = DEFAULTS.seed
    ) -> dict[str, Estimate]:
        """Estimate accuracy, AUROC2 and ECE of the stated and the expected confidence, and the
        parse rate.

        Where no answer could be graded, it holds only the parse rate.
        """
        return summarise_confidence(self.replies, resamples=resamples, seed=seed)

    def summary(
        self, *, resamples: int = DEFAULTS.bootstrap_resamples, seed: int = DEFAULTS.seed
    ) -> pd.DataFrame:
        """Return the estimates as a table, one row a measure."""
        return estimates_table(self.estimates(resamples=resamples, seed=seed))

    def figure(self) -> go.Figure:
        """Draw the stated confidence of right, wrong and ungraded answers, and of those after
        truncated thoughts.
        """
        correct, percent = self.correct, 100 * np.clip(self.stated, 0, 1)
        cut = self.replies.get(THOUGHT + TRUNCATED, pd.Series(False, index=self.replies.index))
        groups = {
            "right answers": correct.eq(True).fillna(False),
            "wrong answers": correct.eq(False).fillna(False),
            "ungraded answers": correct.isna() & ~cut,
            "after truncated thoughts": cut,
        }
        return ConfidenceHistogram(
            groups={
                name: percent[chosen.to_numpy(dtype=bool)]
                for name, chosen in groups.items()
                if chosen.any()
            },
            title="How sure the model says it is",
            caption=f"{len(self)} questions, {self.lm.name}, format {self.format.name}",
        ).figure()

    def _numbers(self) -> str:
        return estimates_html(f"{len(self)} questions, {self.lm.name}", self.estimates())

    def _ipython_display_(self) -> None:
        show_result(self.figure(), self._numbers())

    def _repr_html_(self) -> str:
        return result_html(self.figure(), self._numbers())


def ask(
    lm: LanguageModel,
    questions: Sequence[Question | str],
    format: str | Format = DEFAULTS.elicit.format,
    *,
    record: Sequence[str] | Literal["all"] = "all",
    train_fraction: float = DEFAULTS.questions.train_fraction,
    thinking: Literal["off", "on"] = DEFAULTS.elicit.thinking,
    thinking_history: History = DEFAULTS.elicit.thinking_history,
    limits: Limits = LIMITS,
    tokens_per_forward: int = TOKENS_PER_FORWARD,
) -> Asked:
    """Ask a model questions, grade its answers, and read its confidence in them.

    Args:
        questions: from :func:`~workbench.api.questions.load_questions`, or plain texts, whose
            answers are not graded.
        format: a format or its name, see ``workbench formats``.
        record: the positions whose residual stream is recorded in every layer; all that the format
            has, or none for an empty list.
        train_fraction: share of the questions that fall on the training side.
        thinking: whether a model whose chat template has thoughts thinks before it answers.
        thinking_history: what the turn that asks for the confidence shows of the thought: what
            the template writes of earlier turns, or the thought where it was thought.
        limits: most tokens of an answer, of the reasoning before it, and of a thought.
        tokens_per_forward: memory bound, tokens of one forward pass.

    Raises:
        WorkbenchError: for no questions, an unknown format or one of pairs, questions too long for
            the model, and thinking where the template has no thoughts.
    """
    settings = ElicitSettings(
        template="plain" if is_plain(lm.tokenizer) else "chat",
        thinking=thinking,
        thinking_history=thinking_history,
    )
    fmt = configured(format_named(format) if isinstance(format, str) else format, settings)
    if fmt.thinking:
        require_thoughts(lm.tokenizer)
    asked = [_question(number, each) for number, each in enumerate(questions)]
    ungraded = [isinstance(each, str) for each in questions]
    there = POSITIONS if fmt.shows_answer else POSITIONS[:1]
    if shows_thought(lm.tokenizer, fmt):
        there = (*there, *THOUGHT_POSITIONS)
    positions = there if record == "all" else tuple(record)

    def grade(row: int, reply: str) -> bool | None:
        return None if ungraded[row] else grade_of(reply, asked[row]).correct

    replies = ask_texts(
        lm,
        [prompt_text(question) for question in asked],
        fmt,
        limits=limits,
        tokens_per_forward=tokens_per_forward,
        grade=grade,
        names=[f"question {question.id!r}" for question in asked],
        record=positions,
    )
    return Asked(
        lm=lm,
        format=fmt,
        scale_tokens=replies.numbers,
        questions=tuple(asked),
        conversations=replies.conversations,
        replies=replies.table,
        distribution=replies.distribution,
        states=replies.states,
        positions=positions,
        side=np.array([side_of(question.text, train_fraction) for question in asked]),
    )


def _question(number: int, given: Question | str) -> Question:
    """Return the question itself, or one around a plain text."""
    if isinstance(given, Question):
        return given
    return Question(f"text {number + 1}", given, (), "texts", "given", "", answerable=False)
