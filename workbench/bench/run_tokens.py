"""Read the token counts of a finished run from its tables.

Prompts and conversations are tokenised again, and so are generated texts: an answer's tokens are
those of its text and one that ended it, a stated confidence's those of its text. A text that the
model wrote in other tokens than its tokenizer would is counted wrong by the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from workbench.elicit.answer import answer_prompts
from workbench.elicit.answer_table import answer_batches
from workbench.elicit.ask import answers_with_reasoning
from workbench.elicit.confidence_table import reading_batches
from workbench.elicit.conversation import Conversation, reasoning_tokens
from workbench.elicit.formats import require_no_thought
from workbench.elicit.readout import stated_tokens
from workbench.loop.confidence import confidence_conversations, conversations_from_cache
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.questions import prompt_text
from workbench.trace.suffix import common_prefix

Rows = list[tuple[int, int]]
"""Of each row, the tokens that are there already and those computed after them."""


@dataclass(frozen=True, eq=False)
class Generated:
    """Tokens generated after prompts.

    Attributes:
        prompts: tokens of the prompts they follow, a row each.
        forwards: forwards of one token each row takes: its tokens without the last.
        batches: the rows generated together.
    """

    prompts: list[int]
    forwards: list[int]
    batches: list[list[int]]

    @property
    def rows(self) -> Rows:
        """Every row, with the tokens computed after its prompt."""
        return list(zip(self.prompts, self.forwards, strict=True))

    @property
    def per_product(self) -> int:
        """The rows of a batch that are generated at once, on average over its forwards."""
        steps = sum(max(self.forwards[row] for row in batch) for batch in self.batches)
        return max(1, round(sum(self.forwards) / max(1, steps)))


@dataclass(frozen=True, eq=False)
class RunTokens:
    """The tokens of a finished run, computed when they are first asked for."""

    run: Run

    @cached_property
    def conversations(self) -> list[Conversation]:
        """The confidence conversation of every question."""
        return confidence_conversations(self.run)

    @cached_property
    def begun(self) -> list[int]:
        """The tokens of each conversation whose keys and values answering has left."""
        found = conversations_from_cache(self.run, self.conversations)
        if found is None:
            return [0] * len(self.conversations)
        return [len(prompt) - 1 for prompt in found.prompts]

    @cached_property
    def lengths(self) -> list[int]:
        """The tokens of every conversation."""
        return [len(each.tokens) for each in self.conversations]

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths of the scale's nodes, which are read after every conversation."""
        return self.run.scale_tokens.trie.tree.depths()

    def count(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self.run.lm.tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer_rows(self, table: pd.DataFrame) -> list[tuple[str, Rows, Generated]]:
        """Return the passes that gave a table of answers: the kind in words, the prompts' rows and
        what was generated.
        """
        elicit, fmt, tokenizer = self.run.config.elicit, self.run.fmt, self.run.lm.tokenizer
        _, questions = load_questions(self.run)
        texts = [prompt_text(questions[row]) for row in table["row"]]
        said = answers_with_reasoning(table)
        require_no_thought(fmt, "The number of tokens a run passes")
        reasonings = [one.reasoning for one in said]
        opened = answer_prompts(self.run.lm, fmt, texts, [""] * len(texts))
        budget = self.run.config.model.tokens_per_forward
        batches = [batch.tolist() for batch in answer_batches(opened, budget)]
        found = []
        if fmt.reasoning_prefix:
            prompts = [reasoning_tokens(tokenizer, fmt, text) for text in texts]
            found.append(
                self._generation("reasoning", prompts, reasonings, batches, elicit.reasoning_tokens)
            )
        prompts = answer_prompts(self.run.lm, fmt, texts, reasonings)
        answers = [one.answer for one in said]
        return [
            *found,
            self._generation("answers", prompts, answers, batches, elicit.answer_tokens),
        ]

    def _generation(
        self,
        what: str,
        prompts: list[tuple[int, ...]],
        written: list[str],
        batches: list[list[int]],
        limit: int,
    ) -> tuple[str, Rows, Generated]:
        """Return the passes of one kind: what the prompts of a batch begin with is one row."""
        rows: Rows = []
        for batch in batches:
            shared = len(common_prefix([prompts[row] for row in batch]))
            if not self.run.lm.architecture.packable:
                shared = 0
            rows += [(0, shared)] if shared else []
            rows += [(shared, len(prompts[row]) - shared) for row in batch]
        forwards = [min(self.count(text) + 1, limit) - 1 for text in written]
        return what, rows, Generated([len(prompt) for prompt in prompts], forwards, batches)

    def stated(self, table: pd.DataFrame, lengths: list[int]) -> Generated:
        """Return what was generated of the stated confidence after conversations of these
        lengths.
        """
        numbers = self.run.scale_tokens
        limit = stated_tokens(numbers)
        texts = [text.removeprefix(numbers.said) for text in table["stated_text"]]
        forwards = [max(0, min(self.count(text), limit) - 1) for text in texts]
        return Generated(lengths, forwards, self.batches(lengths))

    def batches(self, lengths: list[int]) -> list[list[int]]:
        """Return the batches in which conversations of these lengths are read."""
        budget = self.run.config.model.tokens_per_forward
        return [each.tolist() for each in reading_batches(lengths, self.run.scale_tokens, budget)]

    def answered_rows(self, stage: str) -> list[int]:
        """Return the questions whose confidence the stage read."""
        rows: list[int] = self.run.stage(stage).table("confidence")["row"].tolist()
        return rows

    def given(self) -> bool:
        """Return whether the answers came from a file."""
        return self.run.config.questions.graded_file is not None
