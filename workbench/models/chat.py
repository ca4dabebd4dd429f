"""Turn conversations into token ids, through the model's chat template.

A conversation is rendered with the template and its generation prompt, which is completed where
replies begin later than it ends (see :mod:`workbench.models.opening`). Then ``prefix`` is appended:
the words that the assistant's reply starts with. Every turn, an assistant turn at the end included,
is history; only ``prefix`` is continued. Where the template knows a thinking switch, thinking is
off, so that a reply starts with its answer; it is on for the whole conversation where ``prefix`` is
a :class:`~workbench.models.turn.ThinkingReply`, whose thought then comes first. What history shows
of earlier thoughts is the template's decision, which is given them, unless they are to be kept:
then the last of them is written where it was thought. A system turn is merged into the first user
turn when the template has no system role.

The rendered text already contains what the template puts in front (BOS), so it is tokenised with
``add_special_tokens=False``. Text of a turn can contain the spelling of a special token, such as
``<|im_end|>``; :func:`encode` turns that spelling into ordinary text tokens, so that no question
can close its turn. Where no turn contains one, its ids are exactly those of the rendered text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from workbench.errors import WorkbenchError
from workbench.models.chat_template import write_turns
from workbench.models.opening import opening_of
from workbench.models.plain_turns import is_plain
from workbench.models.thoughts import require_thoughts
from workbench.models.turn import Reply, Role, ThinkingReply, Turn, thought_of, words_of

__all__ = [
    "Role",
    "Turn",
    "encode",
    "encode_history",
    "render",
    "require_chat_template",
    "special_strings",
]

_KEPT_PROBE = "probe-of-reply"


def render(tokenizer: Any, turns: Sequence[Turn], prefix: Reply = "") -> str:
    """Return the conversation as the model would see it, with generation prompt and ``prefix`` at
    its end.

    The text is for reading and showing. Give a model :func:`encode`, which also defuses special
    tokens spelled out in a turn.

    Raises:
        WorkbenchError: for a conversation without turns, and a thought where the template knows
            none.
    """
    if not turns:
        raise WorkbenchError("a conversation needs at least one turn")
    opening = opening_of(tokenizer)
    if turns[0].role == "system" and not opening.system_role:
        turns = _merge_system(turns)
    if isinstance(prefix, str):
        return write_turns(tokenizer, turns, open_reply=True) + opening.completion + prefix
    thoughts = require_thoughts(tokenizer)
    return _written_thinking(tokenizer, turns, prefix, open_reply=True) + thoughts.written(prefix)


def encode(tokenizer: Any, turns: Sequence[Turn], prefix: Reply = "") -> list[int]:
    """Return the token ids of :func:`render`, where special tokens come from the template alone.

    Raises:
        WorkbenchError: when a turn spells a special token and the tokenizer cannot encode it as
            text without changing its neighbours (some sentencepiece tokenizers).
    """
    specials = special_strings(tokenizer)
    texts = _own_texts(turns, prefix)
    if specials is None or not any(specials.search(text) for text in texts):
        return _plain(tokenizer, render(tokenizer, turns, prefix))
    return _encode_defused(tokenizer, turns, prefix, specials)


def encode_history(tokenizer: Any, turns: Sequence[Turn], prefix: Reply = "") -> list[int]:
    """Return the token ids of the turns as history, without the opening of the reply that begins
    with ``prefix``. The turns must spell no special token.
    """
    if turns[0].role == "system" and not opening_of(tokenizer).system_role:
        turns = _merge_system(turns)
    if isinstance(prefix, str):
        return _plain(tokenizer, write_turns(tokenizer, turns, open_reply=False))
    return _plain(tokenizer, _written_thinking(tokenizer, turns, prefix, open_reply=False))


def _written_thinking(
    tokenizer: Any, turns: Sequence[Turn], prefix: ThinkingReply, *, open_reply: bool
) -> str:
    """Return the turns with thinking on. A thought that is kept stands in the last turn that had
    one, as in the reply itself; what follows that reply is what the template writes after it.
    """
    thinking = {"open_reply": open_reply, "thinking": True}
    had = [i for i, turn in enumerate(turns) if turn.thought is not None]
    if prefix.history == "template" or not had:
        return write_turns(tokenizer, turns, **thinking)
    last = turns[had[-1]]
    reply = ThinkingReply(last.thought, last.content, history="kept")
    begun = render(tokenizer, turns[: had[-1]], reply)
    probed = [*turns[: had[-1]], replace(last, content=_KEPT_PROBE), *turns[had[-1] + 1 :]]
    after = write_turns(tokenizer, probed, **thinking).rpartition(_KEPT_PROBE)[2]
    return begun + after


def _own_texts(turns: Sequence[Turn], prefix: Reply) -> list[str]:
    """Return all texts of a conversation that are not the template's."""
    said = [text for turn in turns for text in (turn.content, turn.thought or "")]
    return [*said, thought_of(prefix), words_of(prefix)]


def special_strings(tokenizer: Any) -> re.Pattern[str] | None:
    """Return a pattern of the strings that the tokenizer turns into control tokens, longest first;
    None without any.

    Added tokens that are not marked special (``<think>`` in some families) are vocabulary and are
    left alone.
    """
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    strings = sorted(added | set(tokenizer.all_special_tokens), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, strings))) if strings else None


def require_chat_template(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer without chat template, which belongs to the model ``name``.

    Raises:
        WorkbenchError: when it has none.
    """
    if not tokenizer.chat_template and not is_plain(tokenizer):
        raise WorkbenchError(
            f"the model {name!r} has no chat template, so it is a base model: ask it in plain text "
            "(--set elicit.template=plain), use its instruct version, or give a file with a "
            "template (--set model.chat_template=FILE)"
        )


def _encode_defused(
    tokenizer: Any, turns: Sequence[Turn], prefix: Reply, specials: re.Pattern[str]
) -> list[int]:
    """Mask spelled specials, tokenise, then retokenise unmasked each stretch between genuine
    specials.

    A tokenizer cuts its input at special tokens before anything else, so no merge crosses a
    stretch's borders. That is checked: a masked stretch alone must give the ids it has within the
    whole text.

    Raises:
        WorkbenchError: if the tokenizer cannot encode a spelled special token as text.
    """
    texts = _own_texts(turns, prefix)
    mask = _Mask(specials, [*texts, str(tokenizer.chat_template)])
    masked = render(tokenizer, [mask.hide_in(turn) for turn in turns], mask.hide_in_reply(prefix))
    if not tokenizer.is_fast:
        raise _not_encodable(specials, "".join(texts))
    control = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    ids: list[int] = []
    for stretch, inside in _stretches(tokenizer, masked):
        revealed = mask.reveal(stretch)
        if revealed == stretch:
            ids += inside
            continue
        plain = _plain(tokenizer, revealed, split_special_tokens=True)
        if _plain(tokenizer, stretch) != inside or control.intersection(plain):
            raise _not_encodable(specials, revealed)
        ids += plain
    return ids


class _Mask:
    """A reversible mask: it exchanges the first character of each spelled special token for a
    private-use character, and back.
    """

    def __init__(self, specials: re.Pattern[str], texts: Sequence[str]) -> None:
        used = set("".join(texts))
        free = (chr(code) for code in range(0xE000, 0xF900) if chr(code) not in used)
        self._specials = specials
        self._free = free
        self._to_mask: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """Mask every special token in ``text``. That is repeated until nothing matches, because
        masking one token can leave another, nested one.
        """
        while match := self._specials.search(text):
            first = match.group()[0]
            if first not in self._to_mask:
                self._to_mask[first] = next(self._free)
            text = text[: match.start()] + self._to_mask[first] + text[match.start() + 1 :]
        return text

    def hide_in(self, turn: Turn) -> Turn:
        thought = None if turn.thought is None else self.hide(turn.thought)
        return replace(turn, content=self.hide(turn.content), thought=thought)

    def hide_in_reply(self, reply: Reply) -> Reply:
        if isinstance(reply, str):
            return self.hide(reply)
        thought = None if reply.thought is None else self.hide(reply.thought)
        return replace(reply, thought=thought, words=self.hide(reply.words))

    def reveal(self, text: str) -> str:
        return text.translate({ord(mask): first for first, mask in self._to_mask.items()})


def _stretches(tokenizer: Any, text: str) -> Iterator[tuple[str, list[int]]]:
    """Cut ``text`` at its special tokens; yield the characters and ids of each piece in order,
    special tokens included.
    """
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    content = {
        index: token.content
        for index, token in tokenizer.added_tokens_decoder.items()
        if token.special
    }
    start, inside = 0, list[int]()
    for index, (begin, end) in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True):
        if text[begin:end].strip() != content.get(index):
            inside.append(index)
            continue
        yield text[start:begin], inside
        yield text[begin:end], [index]
        start, inside = end, []
    yield text[start:], inside


def _plain(tokenizer: Any, text: str, **options: Any) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, **options)["input_ids"])


def _not_encodable(specials: re.Pattern[str], text: str) -> WorkbenchError:
    found = specials.search(text)
    return WorkbenchError(
        f"a turn spells the model's special token {found.group() if found else ''!r} and this "
        "tokenizer cannot encode "
        "it as plain text: remove it from the question"
    )


def _merge_system(turns: Sequence[Turn]) -> list[Turn]:
    system, *rest = turns
    if not rest or rest[0].role != "user":
        raise WorkbenchError(
            "the model's chat template has no system role and no user turn follows the system "
            "turn: "
            "put the instruction into a user turn"
        )
    return [Turn("user", f"{system.content}\n\n{rest[0].content}"), *rest[1:]]
