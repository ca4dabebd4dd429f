"""Hold what the live bench shows: a model, or a finished run with its tuned model, questions and
probe.

The tuned model is the base model's weights with the run's adapter, loaded once; the base model runs
with the adapter off. Two conversations are aligned by index where they have as many tokens; where
not, what they begin with is aligned from the start and the rest from the end. Alignment by index
says nothing about meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.api.donors import RecordedDonor
from workbench.api.prompts import PromptTokens, encode_prompts
from workbench.api.recorded_donor import record_donor
from workbench.elicit.conversation import Conversation
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.live.requests import (
    MOST_TOKENS,
    ChatPrompt,
    Pair,
    QuestionPrompt,
    Read,
    ScaleRead,
    Side,
    TextPrompt,
)
from workbench.loading import load_model
from workbench.loop import is_complete, open_run
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD

MOST_RECORDED = 4


@dataclass(frozen=True, eq=False)
class Session:
    """What is shown.

    Attributes:
        name: of the model, or of the run's folder.
        tuned: the same weights with the run's adapter; None without a run.
        run: None where a model alone is shown.
    """

    name: str
    lm: LanguageModel
    tuned: LanguageModel | None = None
    run: Run | None = None
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD
    _recorded: dict[str, RecordedDonor] = field(default_factory=dict, repr=False)

    def donor(self, pair: Pair, read: Read, component: Any, over: Sequence[str]) -> RecordedDonor:
        """Return the donor's run with the states of all tokens, so that a click does not run it
        again; the last :data:`MOST_RECORDED` are kept.
        """
        wanted = (pair.donor.model_dump(), read.model_dump(), component, tuple(over))
        key = json.dumps(wanted)
        found = self._recorded.pop(key, None)
        if found is None:
            lm = self.model(pair.donor.model)
            found = record_donor(
                lm,
                self.prompt(pair.donor),
                read=self.readout(read),
                over=over,
                component=component,
                tokens_per_forward=self.tokens_per_forward,
            )
        self._recorded[key] = found
        while len(self._recorded) > MOST_RECORDED:
            del self._recorded[next(iter(self._recorded))]
        return found

    def model(self, which: str) -> LanguageModel:
        """Return the base or the tuned model.

        Raises:
            WorkbenchError: for a tuned model where there is none.
        """
        if which == "base":
            return self.lm
        if self.tuned is None:
            raise WorkbenchError("Only a run has a tuned model; show a run, or choose the base.")
        return self.tuned

    @cached_property
    def conversations(self) -> list[Conversation]:
        """Every question of the run, with its answer, up to its confidence position."""
        if self.run is None:
            raise WorkbenchError("Only a run has questions; give a text or a chat.")
        return confidence_conversations(self.run)

    @cached_property
    def question_texts(self) -> list[str]:
        return [] if self.run is None else [q.text for q in load_questions(self.run)[1]]

    def prompt(self, side: Side) -> Any:
        """Return a conversation as the public functions take it: text, chat turns or token ids.

        Raises:
            WorkbenchError: for a question the run does not have.
        """
        if isinstance(side, TextPrompt):
            return side.text
        if isinstance(side, ChatPrompt):
            return [turn.model_dump() for turn in side.turns]
        assert isinstance(side, QuestionPrompt)
        if side.question >= len(self.conversations):
            raise WorkbenchError(
                f"There is no question {side.question}; the run has {len(self.conversations)}."
            )
        return list(self.conversations[side.question].tokens)

    def readout(self, read: Read) -> Any:
        """Return what is read as the public functions take it: two texts, one, or a format.

        Raises:
            WorkbenchError: for an unknown format, and for none where there is no run.
        """
        if isinstance(read, ScaleRead):
            if read.format is not None:
                return format_named(read.format)
            if self.run is None:
                raise WorkbenchError("Only a run has a format of its own; name one to read.")
            return self.run.fmt
        return read.first if read.second is None else (read.first, read.second)


@dataclass(frozen=True, eq=False)
class OpenPair:
    """Both conversations of a view.

    Attributes:
        lm: the model that is patched.
        prompts: what it is patched in.
        donor: as :func:`workbench.api.patching.patch_map` takes it: other prompts, or the other
            model.
        donor_lm: the model whose states are taken.
        base_tokens, donor_tokens: one row each.
        partners: for each token of the base, that of the donor; None where it has none.
    """

    lm: LanguageModel
    prompts: Any
    donor: Any
    donor_lm: LanguageModel
    base_tokens: PromptTokens
    donor_tokens: PromptTokens
    partners: tuple[int | None, ...]

    @property
    def parted(self) -> int:
        """The first of our tokens at which the two runs' states differ: where the texts part, or
        where an adapter on the last tokens alone begins to act.
        """
        ours, theirs = self.base_tokens.rows[0], self.donor_tokens.rows[0]
        if self.lm is self.donor_lm:
            return first_difference(ours, theirs)
        acted = [lm.invocation_length or 0 for lm in (self.lm, self.donor_lm)]
        return len(ours) - max(acted) if any(acted) else 0

    def places(self, positions: Sequence[int]) -> dict[str, tuple[int, int]]:
        """Return the named places of some tokens, as ``at`` of the public functions takes them.

        Raises:
            WorkbenchError: for a token outside the conversation, or without a partner.
        """
        found = {}
        for position in positions:
            if position >= len(self.partners):
                raise WorkbenchError(
                    f"There is no token {position}; the conversation has {len(self.partners)}."
                )
            partner = self.partners[position]
            if partner is None:
                raise WorkbenchError(
                    f"Token {position} has no partner in the other conversation, whose length "
                    "differs; choose one before the texts part, or nearer to the end."
                )
            found[f"{position} {self.base_tokens.pieces[0][position]!r}"] = (position, partner)
        return found


def open_pair(session: Session, pair: Pair) -> OpenPair:
    """Tokenise both conversations and align them.

    Raises:
        WorkbenchError: where both are the same, where they differ and their models too, and for
            more tokens than a view may have.
    """
    lm, donor_lm = session.model(pair.base.model), session.model(pair.donor.model)
    prompts, others = session.prompt(pair.base), session.prompt(pair.donor)
    ours, theirs = encode_prompts(lm, prompts), encode_prompts(donor_lm, others)
    for tokens in (ours, theirs):
        if tokens.lengths[0] > MOST_TOKENS:
            raise WorkbenchError(
                f"A conversation has {tokens.lengths[0]} tokens; the live bench takes "
                f"{MOST_TOKENS}. Patch longer ones with wb.patch_map."
            )
    if lm is not donor_lm and ours.rows != theirs.rows:
        raise WorkbenchError(
            "Two models are compared on the same conversation; choose the same on both sides, or "
            "the same model."
        )
    if lm is donor_lm and ours.rows == theirs.rows:
        raise WorkbenchError(
            "Both sides are the same, so a patch would change nothing; change one conversation, or "
            "choose the tuned model on one side."
        )
    donor = others if lm is donor_lm else donor_lm
    return OpenPair(lm, prompts, donor, donor_lm, ours, theirs, align(ours.rows[0], theirs.rows[0]))


def first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Return the index of the first token in which two texts differ; the shorter one's length where
    it begins the other.
    """
    pairs = zip(ours, theirs, strict=False)
    found = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
    return min(len(ours), len(theirs)) if found is None else found


def align(ours: Sequence[int], theirs: Sequence[int]) -> tuple[int | None, ...]:
    """Return, for each of our tokens, the index of theirs that it is compared with."""
    if len(ours) == len(theirs):
        return tuple(range(len(ours)))
    begun = first_difference(ours, theirs)
    shift = len(theirs) - len(ours)
    ends = [at + shift if at + shift >= begun else None for at in range(len(ours))]
    return tuple(at if at < begun else ends[at] for at in range(len(ours)))


@contextmanager
def open_session(
    name: str, runs: Path, figures: Path, *, device: str = "auto"
) -> Iterator[Session]:
    """Open the finished run of this name, or else the model; the adapter is removed at the end.

    Raises:
        WorkbenchError: for a run that has not finished, and what is neither a run nor a model.
    """
    if Path(name).name == name and (runs / name / "config.json").exists():
        if not is_complete(runs / name):
            raise WorkbenchError(f"The run in {runs / name} has not finished; run it again first.")
        run = open_run(runs / name, figures / name)
        with run.with_adapter("teach") as tuned:
            yield Session(name, run.lm, tuned, run)
        return
    yield Session(name, load_model(name, device=device))
