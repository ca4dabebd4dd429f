"""Find where a reply begins: what a chat template writes between the last user turn and an
assistant's words.

Replies are opened by text ("Answer:") after the template's generation prompt. The model has learned
to begin there only if the generation prompt is what the template writes before an assistant's words
in history. A probe shows whether it is: the same conversation is rendered with its reply still to
come and with the reply in it. The two must agree, or differ in ways whose meaning is known:

- the generation prompt goes on with an empty thought, as thinking switched off leaves it;
- it opens a thought: the thought is closed, empty;
- history has a piece more that says where the answer itself begins (white space, an empty thought,
  the channel of final answers): the piece is put after the generation prompt.

What is put there is the :attr:`Opening.completion`, and is said in :attr:`Opening.notes`.
Everything else is an error, and so is a template that loses a turn or changes their order. A system
turn that is lost, refused or moved is written at the head of the first user turn instead, and that
is said too.

The probe covers the forms of turns that are asked anywhere in the workbench: a question, and a
question, its answer and another question, with and without a system turn. It does not show what a
template does to turns of other forms or with certain words in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from workbench.errors import WorkbenchError
from workbench.models.chat_template import (
    MEND,
    day_of,
    template_name,
    template_text,
    write_turns,
)
from workbench.models.plain_turns import is_plain
from workbench.models.turn import Turn

SYSTEM, REPLY = Turn("system", "probe-of-system"), Turn("assistant", "probe-of-reply")
ASKED = (Turn("user", "probe-of-question"),)
ASKED_AGAIN = (*ASKED, Turn("assistant", "probe-of-answer"), Turn("user", "probe-of-request"))

FINAL_CHANNEL = "<|channel|>final<|message|>"
_NAME = r"[\w:]*(?:think|thought|reason)\w*"
_OPEN = rf"(?P<left>[<\[◁])(?P<name>{_NAME})(?P<right>[>\]▷])"
_CLOSE = r"(?P=left)/(?P=name)(?P=right)"
_EMPTY_THOUGHT = re.compile(rf"\s*{_OPEN}\s*{_CLOSE}\s*", re.IGNORECASE)
_OPENED_THOUGHT = re.compile(rf"\s*{_OPEN}(?P<space>\s*)", re.IGNORECASE)
_OPENED_AT_END = re.compile(rf"{_OPEN}\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Opening:
    """The way a template opens replies.

    Attributes:
        system_role: whether system turns are left to the template.
        completion: what follows the generation prompt before a reply's own words.
        notes: sentences on both, for the person; empty where the template needs nothing.
    """

    system_role: bool
    completion: str
    notes: tuple[str, ...]


_known: dict[tuple[str, str, date], Opening] = {}


def opening_of(tokenizer: Any) -> Opening:
    """Return how the tokenizer's template opens replies. The probe runs once for each template and
    date; plain turns need none.

    Raises:
        WorkbenchError: for a template that fails, loses turns, or opens replies otherwise than it
            writes them.
    """
    if is_plain(tokenizer):
        return Opening(True, "", ())
    key = (template_text(tokenizer), str(tokenizer.special_tokens_map), day_of(tokenizer))
    if key not in _known:
        _known[key] = _probed(tokenizer)
    return _known[key]


def _probed(tokenizer: Any) -> Opening:
    forms: list[tuple[Turn, ...]] = [ASKED, ASKED_AGAIN]
    for turns in forms:
        lost = _out_of_order(write_turns(tokenizer, turns, open_reply=True), turns)
        if lost:
            raise WorkbenchError(
                f"{template_name(tokenizer)} loses or moves the {lost.role} turn of a conversation "
                f"({', '.join(turn.role for turn in turns)}), so the model would not be asked what "
                f"it is to be asked; {MEND}"
            )
    system_role = _keeps_system(tokenizer)
    if system_role:
        forms += [(SYSTEM, *turns) for turns in (ASKED, ASKED_AGAIN)]
    completions = {_completion(tokenizer, turns) for turns in forms}
    if len(completions) > 1:
        raise WorkbenchError(
            f"{template_name(tokenizer)} opens replies differently from turn to turn "
            f"({sorted(completions)}), so no one "
            f"text opens them all; {MEND}"
        )
    (completion,) = completions
    notes = []
    if not system_role:
        notes.append(
            "The chat template keeps no system turn in its place; it is put at the head of the "
            "first user turn."
        )
    if completion:
        notes.append(
            f"The chat template's generation prompt is completed by {completion!r}, so that "
            "replies begin where answers do."
        )
    return Opening(system_role, completion, tuple(notes))


def _out_of_order(text: str, turns: Sequence[Turn]) -> Turn | None:
    """Return the first turn whose words do not follow those of the turn before."""
    at = 0
    for turn in turns:
        found = text.find(turn.content, at)
        if found < 0:
            return turn
        at = found + len(turn.content)
    return None


def _keeps_system(tokenizer: Any) -> bool:
    """Return whether a system turn comes before the first question in conversations of every
    length.
    """
    try:
        return not any(
            _out_of_order(
                write_turns(tokenizer, (SYSTEM, *turns), open_reply=True), (SYSTEM, *turns)
            )
            for turns in (ASKED, ASKED_AGAIN)
        )
    except WorkbenchError:
        return False


def _completion(tokenizer: Any, turns: Sequence[Turn]) -> str:
    last = turns[-1].content
    opened = write_turns(tokenizer, turns, open_reply=True).rpartition(last)[2]
    written = _before_reply(tokenizer, turns)
    found = completion(opened, written)
    if found is None:
        plain = write_turns(tokenizer, turns, open_reply=False).rpartition(last)[2]
        why = "it ignores add_generation_prompt; " if plain == opened else ""
        raise WorkbenchError(
            f"{template_name(tokenizer)} opens a reply by {opened!r} and writes the same reply "
            f"after {written!r}: {why}"
            "what is asked would come where the model never saw an answer begin; give a template "
            "whose generation prompt is "
            "what comes before an assistant's words (--set model.chat_template=FILE)"
        )
    return found


def _before_reply(tokenizer: Any, turns: Sequence[Turn]) -> str:
    """Return what history has between the last user turn and the reply to it.

    Raises:
        WorkbenchError: for a template that loses or moves a turn.
    """
    try:
        text = write_turns(tokenizer, (*turns, REPLY), open_reply=False)
    except WorkbenchError:  # some templates want a user's turn at the end
        text = write_turns(
            tokenizer, (*turns, REPLY, Turn("user", "probe-of-end")), open_reply=False
        )
    lost = _out_of_order(text, (*turns, REPLY))
    if lost:
        raise WorkbenchError(
            f"{template_name(tokenizer)} loses or moves the {lost.role} turn in history; {MEND}"
        )
    return text.rpartition(REPLY.content)[0].rpartition(turns[-1].content)[2]


def completion(opened: str, written: str) -> str | None:
    """Return what to append to the generation prompt ``opened`` so that a reply can begin, as
    ``written`` in history; None if unknown.
    """
    if written.startswith(opened):
        more = written[len(opened) :]
        known = (
            not more.strip()
            or more == FINAL_CHANNEL
            or _EMPTY_THOUGHT.fullmatch(more)
            or _closes(opened, more)
        )
        return more if known else None
    if not opened.startswith(written):
        return None
    extra = opened[len(written) :]
    if not extra.strip() or _EMPTY_THOUGHT.fullmatch(extra):
        return ""
    thought = _OPENED_THOUGHT.fullmatch(extra)
    if thought is None:
        return None
    line = "\n" if "\n" in thought["space"] else "\n\n"
    return f"{line}{thought['left']}/{thought['name']}{thought['right']}\n\n"


def _closes(opened: str, more: str) -> bool:
    """Return whether ``more`` closes the thought that ``opened`` ends in."""
    thought = _OPENED_AT_END.search(opened)
    return (
        thought is not None
        and more.strip() == f"{thought['left']}/{thought['name']}{thought['right']}"
    )
