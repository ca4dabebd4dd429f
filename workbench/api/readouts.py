"""Define how a patch is read: one number per prompt, from the logits after its last token.

Two strings give the logit of the first minus that of the second, one string its log-probability
among the whole vocabulary; both may differ from prompt to prompt, as a list with one entry per
prompt. An elicitation format gives the expected confidence over its scale, as a share of certainty,
for prompts that end at its confidence position. A function gets the next-token logits [n, vocab]
and gives [n].

Positive: towards the first string, or surer. A logit difference does not say that either string is
likely, and a string's first token may begin other words as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.api.prompts import PromptTokens, show_tokens, token_texts
from workbench.elicit.conversation import ScaleTokens, scale_tokens
from workbench.elicit.format import Format
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.metrics import Metric, expected_confidence_of
from workbench.trace.token_tree import NO_TREE, TokenTree

Read = Any
"""A pair of strings, a string, a list of either, a Format, its ScaleTokens, or a function."""


@dataclass(frozen=True, eq=False)
class Readout:
    """A way to read prompts, one number each.

    Attributes:
        label: what the number is, for axes.
        reduce: next-token logits [n, vocab] -> [n, ...], the same for every prompt.
        value: what ``reduce`` leaves of all prompts, [rows, ...] -> [rows], in the prompts' order.
        tree: further tokens read after each prompt.
        tokens: [rows, 1 or 2] token ids compared, None where the number compares no tokens.
        every: all of these token ids, once, as ``reduce`` leaves them.
    """

    label: str
    reduce: Callable[[Tensor], Tensor]
    value: Callable[[Tensor], Tensor]
    tree: TokenTree = NO_TREE
    tokens: Tensor | None = None
    every: tuple[int, ...] = ()

    def groups(self) -> list[tuple[list[int], Metric]]:
        """Return the rows of prompts that are read alike (an empty list: all), with a metric that
        gives the number of each of them whatever their order.
        """
        if self.tokens is None:
            return [([], self.metric())]
        rows: dict[tuple[int, ...], list[int]] = {}
        for row, ids in enumerate(self.tokens.tolist()):
            rows.setdefault(tuple(ids), []).append(row)
        return [
            (some, Metric(self.reduce, _own_tokens(torch.tensor([ids]), self.every), self.tree))
            for ids, some in rows.items()
        ]

    def metric(self) -> Metric:
        """Return the same number as a differentiable metric; ``value`` sees all prompts at once."""
        return Metric(self.reduce, self.value, self.tree)


def readout_of(lm: LanguageModel, read: Read, prompts: PromptTokens) -> Readout:
    """Return the readout that ``read`` names for these prompts.

    Raises:
        WorkbenchError: with the tokens shown, for a string that is not one token; for a list with
            another number of entries than prompts; and for what is no readout.
    """
    if isinstance(read, Format | ScaleTokens):
        return _confidence(lm, read)
    if isinstance(read, list):
        if len(read) != len(prompts):
            raise WorkbenchError(
                f"read lists {len(read)} answers for {len(prompts)} prompts; give a list with one "
                "for each, or one for all: a string, or a pair such as (' Paris', ' Rome')."
            )
        return _tokens(lm, [_strings(entry) for entry in read], prompts)
    if isinstance(read, str | tuple):
        return _tokens(lm, [_strings(read)] * len(prompts), prompts)
    if callable(read):
        name = getattr(read, "__name__", "readout")
        return Readout("readout" if name == "<lambda>" else name, read, _checked)
    raise WorkbenchError(
        "read is two strings (logit difference), one (log-probability), an elicitation format, or "
        f"a function of logits; got {read!r}."
    )


def single_token(lm: LanguageModel, text: str, prompts: PromptTokens, row: int) -> int:
    """Return the one token of ``text`` where it continues a prompt.

    Raises:
        WorkbenchError: where it is none or several.
    """
    alone = _ids(lm, text)
    if len(alone) == 1:
        return alone[0]
    before = prompts.text(row)
    begun, whole = _ids(lm, before), _ids(lm, before + text)
    if text and whole[: len(begun)] == begun and len(whole) == len(begun) + 1:
        return whole[-1]
    pieces = token_texts(lm.tokenizer, alone)
    mend = f"give a string that is one, such as {pieces[0]!r}" if pieces else "give some text"
    raise WorkbenchError(
        f"read={text!r} is {len(alone)} tokens of this tokenizer ({show_tokens(pieces)}), and a "
        f"prompt's next token is one; {mend}, or a function of logits."
    )


def _strings(entry: Any) -> tuple[str, ...]:
    """Return an entry's one or two strings.

    Raises:
        WorkbenchError: for anything else.
    """
    strings = (entry,) if isinstance(entry, str) else tuple(entry)
    if len(strings) not in (1, 2) or not all(isinstance(text, str) for text in strings):
        raise WorkbenchError(
            f"read is one string or two for each prompt, such as (' Paris', ' Rome'); got {entry!r}"
        )
    return strings


def _tokens(
    lm: LanguageModel, strings: Sequence[tuple[str, ...]], prompts: PromptTokens
) -> Readout:
    """Return the readout of named tokens. ``reduce`` keeps the scores of all tokens named: logits
    for pairs, log-probabilities for single strings; each prompt then takes its own.

    Raises:
        WorkbenchError: for pairs mixed with single strings, and two strings that are one token.
    """
    if len({len(entry) for entry in strings}) > 1:
        raise WorkbenchError("read is two strings for every prompt, or one for every prompt.")
    found = [
        [single_token(lm, text, prompts, row) for text in entry]
        for row, entry in enumerate(strings)
    ]
    for entry, ids in zip(strings, found, strict=True):
        if len({*ids}) < len(ids):
            raise WorkbenchError(
                f"read compares {entry[0]!r} with {entry[1]!r}, which are one token; give two that "
                "differ."
            )
    every = sorted({token for ids in found for token in ids})
    pair = len(strings[0]) == 2

    def reduce(logits: Tensor) -> Tensor:
        wide = logits.float()
        chosen = wide[:, every]
        return chosen if pair else chosen - wide.logsumexp(dim=-1, keepdim=True)

    tokens = torch.tensor(found)
    value = _own_tokens(tokens, tuple(every))
    return Readout(_label(strings), reduce, value, tokens=tokens, every=tuple(every))


def _own_tokens(tokens: Tensor, every: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """Return a function that reads, from the scores of ``every`` token, those of each prompt's own
    ``tokens`` [rows or 1, 1 or 2]: their difference, or the single one.
    """
    column = torch.tensor([[every.index(token) for token in row] for row in tokens.tolist()])

    def value(reduced: Tensor) -> Tensor:
        # Several readings of one prompt, such as its branches, follow one another.
        each = column.repeat_interleave(len(reduced) // len(column), dim=0)
        own = reduced.gather(1, each.to(reduced.device))
        return own[:, 0] - own[:, 1] if own.shape[1] == 2 else own[:, 0]

    return value


def _label(strings: Sequence[tuple[str, ...]]) -> str:
    first = strings[0]
    if len({*strings}) > 1:
        first = ("first answer", "second answer") if len(first) == 2 else ("answer",)
        quoted = list(first)
    else:
        quoted = [f"“{text.strip()}”" for text in first]
    if len(first) == 2:
        return f"logit difference, {quoted[0]} − {quoted[1]}"
    return f"log-probability of {quoted[0]}"


def _confidence(lm: LanguageModel, read: Format | ScaleTokens) -> Readout:
    numbers = read if isinstance(read, ScaleTokens) else scale_tokens(lm.tokenizer, read)
    metric = expected_confidence_of(numbers.trie, numbers.scale.certain)
    return Readout("expected confidence", metric.readout, metric.value, metric.tree)


def _checked(reduced: Tensor) -> Tensor:
    """Refuse the values of a function that does not give one number per row.

    Raises:
        WorkbenchError: for such values.
    """
    if reduced.dim() != 1 or not reduced.is_floating_point():
        raise WorkbenchError(
            "A readout function gives one number a row, [n, vocab] -> [n]; this one gave "
            f"{list(reduced.shape)} for {len(reduced)} rows."
        )
    return reduced


def _ids(lm: LanguageModel, text: str) -> list[int]:
    return list(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
