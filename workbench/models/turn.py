"""Define a turn of a conversation, and the beginning of a reply that thinks before it speaks.

Most replies begin with words alone, which are a plain string. A model that thinks begins with a
thought, which is written between marks of its template (:mod:`workbench.models.thoughts`), and has
its words after them. The marks are never part of the texts here: what a text spells is text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from workbench.errors import WorkbenchError

Role = Literal["system", "user", "assistant"]
History = Literal["template", "kept"]
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Turn:
    """A message of a conversation: its role and its text.

    Attributes:
        thought: what an assistant thought before the text; None where nothing is said of it.
    """

    role: Role
    content: str
    thought: str | None = None

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise WorkbenchError(
                f"a turn has the role {self.role!r}: use one of {', '.join(_ROLES)}"
            )


@dataclass(frozen=True)
class ThinkingReply:
    """The beginning of a reply of a model whose template is told to think.

    Attributes:
        thought: what is thought, "" for an empty thought; None where the thought has been opened
            and is still to come.
        words: what the reply says after its thought.
        closed: whether the thought has ended; without, no words follow.
        history: whether earlier thoughts are written as the template writes them, which mostly
            leaves them out, or kept where they were thought.
    """

    thought: str | None
    words: str = ""
    closed: bool = True
    history: History = "template"

    def __post_init__(self) -> None:
        if self.words and (self.thought is None or not self.closed):
            raise WorkbenchError("a reply has words only after its thought: close the thought")

    def __add__(self, more: str) -> ThinkingReply:
        return replace(self, words=self.words + more)


Reply = str | ThinkingReply
"""The beginning of a reply: words, or a thought and words."""


def words_of(reply: Reply) -> str:
    """Return what the reply says, without its thought."""
    return reply if isinstance(reply, str) else reply.words


def thought_of(reply: Reply) -> str:
    """Return what the reply thinks; "" for nothing."""
    return "" if isinstance(reply, str) else reply.thought or ""
