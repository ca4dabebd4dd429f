"""Encode prompts as a person gives them: token ids with the text of every token.

A text is tokenised as it is, with what the tokenizer puts before every text, and through no chat
template. Chat turns go through the model's template and end where a reply begins; a last turn of
the assistant is the beginning of that reply and is continued. Token ids are taken as they are.
Where in the text a token ends is found from the decoded beginnings of the prompt, so it holds for
every tokenizer, merged spaces and split characters included.

Prompts remember how they were given, so that another model can be asked the same by its own
tokenizer and chat template. Two prompts of one meaning may differ in tokens; nothing here aligns
them, see :mod:`workbench.api.positions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode
from workbench.models.vocabulary import require_embedded

Prompts = Any
"""A text, chat turns or token ids, or a list of these."""
_SHOWN = 40
_KINDS = "a text, chat turns ({'role': ..., 'content': ...}) or token ids"


@dataclass(frozen=True)
class PromptTokens:
    """Prompts of one model.

    Attributes:
        rows: token ids of each prompt.
        pieces: the text of each of its tokens; together they are the prompt's text.
        again: tokenises the same prompts for another model; None where only these tokens are known.
    """

    rows: tuple[tuple[int, ...], ...]
    pieces: tuple[tuple[str, ...], ...]
    again: Callable[[LanguageModel], PromptTokens] | None = field(
        default=None, compare=False, repr=False
    )

    @property
    def lengths(self) -> tuple[int, ...]:
        """[rows] tokens of each prompt."""
        return tuple(len(row) for row in self.rows)

    def encoded_for(self, lm: LanguageModel) -> PromptTokens:
        """Return the same prompts as ``lm`` is given them: by its own tokenizer and template, or
        the same token ids where the prompts are token ids.

        Raises:
            WorkbenchError: for token ids that are other texts in ``lm``.
        """
        found = self._of_ids(lm) if self.again is None else self.again(lm)
        for row, (ours, theirs) in enumerate(zip(self.rows, found.rows, strict=True)):
            if ours == theirs and self.pieces[row] != found.pieces[row]:
                at = next(
                    i for i, piece in enumerate(self.pieces[row]) if piece != found.pieces[row][i]
                )
                raise WorkbenchError(
                    f"The token {ours[at]} of prompt {row} is {self.pieces[row][at]!r} in one "
                    f"model and {found.pieces[row][at]!r} in {lm.name!r}; give prompts as texts or "
                    "chat turns, which each model tokenises itself."
                )
        return found

    def repeated(self, rows: int) -> PromptTokens:
        """Return a single prompt ``rows`` times."""
        again = self.again
        return PromptTokens(
            self.rows * rows,
            self.pieces * rows,
            None if again is None else lambda lm: again(lm).repeated(rows),
        )

    def text(self, row: int) -> str:
        """Return the prompt's text, special tokens included."""
        return "".join(self.pieces[row])

    def ends(self, row: int) -> list[int]:
        """Return, for each token, how many characters of the text end with it."""
        return np.cumsum([len(piece) for piece in self.pieces[row]]).tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def _of_ids(self, lm: LanguageModel) -> PromptTokens:
        rows = tuple(_row(lm, list(row), number) for number, row in enumerate(self.rows))
        return PromptTokens(rows, tuple(token_texts(lm.tokenizer, row) for row in rows))


def encode_prompts(lm: LanguageModel, prompts: Prompts) -> PromptTokens:
    """Tokenise one prompt or a list of prompts.

    Raises:
        WorkbenchError: for no prompts, an empty one, an id outside the vocabulary, and what is
            none of the kinds of prompts.
    """
    plain = prompts.tolist() if isinstance(prompts, torch.Tensor | np.ndarray) else prompts
    if isinstance(plain, str):
        plain = [plain]
    elif not isinstance(plain, Sequence):
        raise WorkbenchError(f"A prompt is {_KINDS}, or a list of these; got {prompts!r}.")
    elif plain and (_is_turn(plain[0]) or isinstance(plain[0], int)):
        plain = [plain]
    if not plain:
        raise WorkbenchError("There are no prompts to run; give at least one.")
    rows = tuple(_row(lm, prompt, number) for number, prompt in enumerate(plain))
    pieces = tuple(token_texts(lm.tokenizer, row) for row in rows)
    return PromptTokens(rows, pieces, lambda other: encode_prompts(other, plain))


def token_texts(tokenizer: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text each token adds; a character split over tokens belongs to its last one."""
    alone = tuple(_decode(tokenizer, [token]) for token in ids)
    whole = _decode(tokenizer, ids)
    if "".join(alone) == whole:
        return alone
    pieces, written = [], 0
    for count in range(1, len(ids) + 1):
        begun = _decode(tokenizer, ids[:count])
        end = written
        while end < min(len(begun), len(whole)) and begun[end] == whole[end]:
            end += 1
        end = len(whole) if count == len(ids) else end
        pieces.append(whole[written:end])
        written = end
    return tuple(pieces)


def show_tokens(pieces: Sequence[str]) -> str:
    """Return token texts as an error shows them: each in quotes, of many the first ones."""
    shown = " ".join(repr(piece) for piece in pieces[:_SHOWN])
    return shown if len(pieces) <= _SHOWN else f"{shown} ... ({len(pieces)} tokens)"


def _row(lm: LanguageModel, prompt: Any, number: int) -> tuple[int, ...]:
    """Return the token ids of one prompt.

    Raises:
        WorkbenchError: for an empty prompt, an id outside the vocabulary, and what is none of the
            kinds of prompts.
    """
    if isinstance(prompt, torch.Tensor | np.ndarray):
        prompt = prompt.tolist()
    if isinstance(prompt, str):
        ids = tuple(lm.tokenizer(prompt)["input_ids"]) if prompt.strip() else ()
    elif isinstance(prompt, Sequence) and prompt and all(map(_is_turn, prompt)):
        ids = _chat(lm, [_turn(turn) for turn in prompt])
    elif isinstance(prompt, Sequence) and all(isinstance(token, int) for token in prompt):
        ids = tuple(prompt)
    else:
        raise WorkbenchError(f"Prompt {number} is {prompt!r}; a prompt is {_KINDS}.")
    if not ids:
        raise WorkbenchError(f"Prompt {number} is empty; give it at least one token to read.")
    require_embedded(lm, ids, f"Prompt {number}")
    return ids


def _chat(lm: LanguageModel, turns: Sequence[Turn]) -> tuple[int, ...]:
    opening = turns[-1].content if turns[-1].role == "assistant" else ""
    said = turns[:-1] if turns[-1].role == "assistant" else turns
    return tuple(encode(lm.tokenizer, said, opening))


def _is_turn(value: Any) -> bool:
    return isinstance(value, Turn) or (isinstance(value, Mapping) and "role" in value)


def _turn(value: Any) -> Turn:
    """Return a chat turn.

    Raises:
        WorkbenchError: for a turn without a text.
    """
    if isinstance(value, Turn):
        return value
    if not isinstance(value.get("content"), str):
        raise WorkbenchError(f"A chat turn needs a role and a content that is text; got {value!r}.")
    return Turn(value["role"], value["content"])


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
