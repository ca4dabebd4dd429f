"""Find how a chat template has a model think: what opens a thought, what ends it, and what comes
between it and the answer.

A row of :data:`MARKS` is a pair of marks that families write their thoughts between; a template
knows thoughts if its source names one of them. The exact text around a thought, white space
included, is then taken from the template: a conversation with a thought in its last reply is
rendered with the thinking switch on, and what stands before and after the thought is what opens and
closes it. Templates that never write a thought, but may open one in their generation prompt, get
the row's own white space. The generation prompt is completed by whatever part of the opening it
lacks, so every thought begins at the same place.

An empty thought is the two texts around it put together, or, where a family goes straight to its
answer instead (the channels of gpt-oss), the row's own text.

This does not show that the model was trained to think: a template may name marks its model never
writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from workbench.errors import WorkbenchError
from workbench.models.chat_template import day_of, template_name, template_text, write_turns
from workbench.models.opening import opening_of
from workbench.models.plain_turns import is_plain
from workbench.models.turn import ThinkingReply, Turn


@dataclass(frozen=True)
class ThoughtMarks:
    """The marks that a family writes its thoughts between.

    Attributes:
        opens, closes: the marks, without white space.
        inside: white space after ``opens`` and before ``closes``.
        answers: what stands between ``closes`` and the answer.
        straight: opens an answer without a thought; "" for an empty thought.
        answer_ends: a mark that ends the answer before the turn does; "" for none.
        known_by: a text that only templates with these marks hold; "" for either mark.
    """

    name: str
    opens: str
    closes: str
    inside: tuple[str, str] = ("\n", "\n")
    answers: str = "\n\n"
    straight: str = ""
    answer_ends: str = ""
    known_by: str = ""

    def named_in(self, source: str) -> bool:
        """Return whether a template's source names the marks."""
        named = [self.known_by] if self.known_by else [self.opens, self.closes]
        return any(mark in source for mark in named) and self.answer_ends in source


MARKS = (
    ThoughtMarks(
        "channels",
        "<|channel|>analysis<|message|>",
        "<|end|>",
        inside=("", ""),
        answers="<|start|>assistant<|channel|>final<|message|>",
        straight="<|channel|>final<|message|>",
        known_by="<|channel|>analysis",
    ),
    ThoughtMarks("thought channel", "<|channel>thought", "<channel|>", answers=""),
    ThoughtMarks(
        "thinking and response tokens",
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        inside=("", ""),
        answers="<|START_RESPONSE|>",
        answer_ends="<|END_RESPONSE|>",
    ),
    ThoughtMarks(
        "process and response in words",
        "Here is my thought process:",
        "Here is my response:",
    ),
    ThoughtMarks("brackets", "[THINK]", "[/THINK]", inside=("", ""), answers=""),
    ThoughtMarks("seed tags", "<seed:think>", "</seed:think>"),
    ThoughtMarks("triangles", "◁think▷", "◁/think▷"),
    ThoughtMarks(
        "think and response tags",
        "<think>",
        "</think>",
        answers="\n<response>",
        answer_ends="</response>",
    ),
    ThoughtMarks(
        "think and answer tags",
        "<think>",
        "</think>",
        answers="\n<answer>\n",
        answer_ends="</answer>",
    ),
    ThoughtMarks("think tags", "<think>", "</think>"),
)
"""Marks of known families, those of which others are a part first."""


@dataclass(frozen=True)
class Thoughts:
    """The texts around a thought in a reply of one template.

    Attributes:
        opened: follows the generation prompt, up to the thought's first character.
        closed: follows the thought, up to the answer.
        end: the mark by whose first token or text a thought ends.
        empty: follows the generation prompt where nothing is thought.
        answer_ends: a mark that ends the answer before the turn does; "" for none.
    """

    opened: str
    closed: str
    end: str
    empty: str
    answer_ends: str

    def written(self, reply: ThinkingReply) -> str:
        """Return what follows the generation prompt when a reply begins so."""
        if reply.thought is None:
            return self.opened
        if not reply.thought and reply.closed:
            return self.empty + reply.words
        closed = self.closed if reply.closed else ""
        return f"{self.opened}{reply.thought}{closed}{reply.words}"


_ASKED = Turn("user", "probe-of-question")
_REPLY = Turn("assistant", "probe-of-reply", thought="probe-of-thought")
_known: dict[tuple[str, str, date], Thoughts | None] = {}


def thoughts_of(tokenizer: Any) -> Thoughts | None:
    """Return how the tokenizer's template writes thoughts; None for a template that knows none.

    Raises:
        WorkbenchError: for a template that opens a thought otherwise than it writes one.
    """
    if is_plain(tokenizer):
        return None
    key = (template_text(tokenizer), str(tokenizer.special_tokens_map), day_of(tokenizer))
    if key not in _known:
        row = next((row for row in MARKS if row.named_in(key[0])), None)
        _known[key] = None if row is None else _read(tokenizer, row)
    return _known[key]


def require_thoughts(tokenizer: Any) -> Thoughts:
    """Return how the tokenizer's template writes thoughts.

    Raises:
        WorkbenchError: for a template that knows none.
    """
    found = thoughts_of(tokenizer)
    if found is None:
        what = (
            "turns are written as plain text, which"
            if is_plain(tokenizer)
            else template_name(tokenizer)
        )
        raise WorkbenchError(
            f"{what} has no thoughts: choose a model that thinks, or set elicit.thinking=off"
        )
    return found


def _read(tokenizer: Any, row: ThoughtMarks) -> Thoughts:
    opens_with = _after_question(
        write_turns(tokenizer, [_ASKED], open_reply=True, thinking=True), _ASKED
    )
    written = _history(tokenizer)
    before, thought, after = written.partition(str(_REPLY.thought))
    if thought:
        opened, closed = _completed(tokenizer, opens_with, before), after
    else:
        begun = opens_with.rstrip().endswith(row.opens)
        opened = "" if begun else row.opens + row.inside[0]
        closed = row.inside[1] + _closing(tokenizer, row, written)
    empty = row.straight or opened + closed
    return Thoughts(opened, closed, row.closes, empty, row.answer_ends)


def _completed(tokenizer: Any, opens_with: str, before: str) -> str:
    """Return what the generation prompt lacks of the text before a thought.

    Raises:
        WorkbenchError: where one is no beginning of the other.
    """
    if before.startswith(opens_with):
        return before[len(opens_with) :]
    if opens_with.startswith(before) and not opens_with[len(before) :].strip():
        return ""
    raise WorkbenchError(
        f"{template_name(tokenizer)} opens a reply by {opens_with!r} and writes a thought after "
        f"{before!r}, so a thought would come where the model never saw one begin; give a template "
        "whose generation prompt is what comes before a thought (--set model.chat_template=FILE), "
        "or set elicit.thinking=off"
    )


def _closing(tokenizer: Any, row: ThoughtMarks, written: str) -> str:
    """Return the closing mark and what follows it: as the template writes them before a reply,
    with thinking on or off, or as the row does.
    """
    off = write_turns(tokenizer, [_ASKED], open_reply=True) + opening_of(tokenizer).completion
    for text in (written, _after_question(off, _ASKED)):
        _, found, after = text.rpartition(row.closes)
        if found and row.answers.strip() in after:
            return found + after
    return row.closes + row.answers


def _history(tokenizer: Any) -> str:
    """Return what is written between a question and the reply to it, which had a thought."""
    try:
        text = write_turns(tokenizer, (_ASKED, _REPLY), open_reply=False, thinking=True)
    except WorkbenchError:  # some templates want a user's turn at the end
        turns = (_ASKED, _REPLY, Turn("user", "probe-of-end"))
        text = write_turns(tokenizer, turns, open_reply=False, thinking=True)
    return _after_question(text.rpartition(_REPLY.content)[0], _ASKED)


def _after_question(text: str, question: Turn) -> str:
    return text.rpartition(question.content)[2]
