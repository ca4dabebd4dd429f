"""Find places in prompts: which token of each prompt is patched, and which token of its donor the
state comes from.

A place is "last", an index, or a piece of text, which means the token that holds its last
character. An index may count from the end, as in Python. Between a prompt and its donor, an index
means one place only where both have as many tokens. A text is looked up in each of them; a donor of
as many tokens that does not hold it is read at the same index. Everything else is aligned by a
named span: ``{"subject": ("France", "the Ivory Coast")}`` names a place by its text, or its index,
in the prompt and in its donor, and either may be a list with one for each prompt. Where the donor
is another model whose tokenizer cuts its prompt into other tokens than the patched model's would,
no index means one place in both, and every place has to be named by its text.

That two tokens are aligned does not show that they mean the same to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.api.prompts import PromptTokens, show_tokens
from workbench.errors import WorkbenchError

At = Any
"""``"last"``, ``"all"``, an index, a text, a list of these, or a mapping of names to them."""
LAST = "last"
ALL = "all"


@dataclass(frozen=True, eq=False)
class Places:
    """Aligned places of prompts and donors.

    Attributes:
        labels: [n] what a figure calls each place.
        base: [rows, n] token index in each prompt.
        donor: [rows, n] token index in its donor; the same where there is no donor prompt.
    """

    labels: tuple[str, ...]
    base: Tensor
    donor: Tensor


def find_places(
    at: At, base: PromptTokens, donor: PromptTokens | None, *, cut_alike: bool = True
) -> Places:
    """Find the tokens that ``at`` names, in prompts and donors.

    Args:
        cut_alike: whether both models cut the donor's prompts into the same tokens.

    Raises:
        WorkbenchError: with the tokens shown, for a text that is not there or is there twice, an
            index outside a prompt, and indices into prompts of different token length or of
            different tokenizers.
    """
    if isinstance(at, str) and at == ALL:
        return _every_token(base, donor, cut_alike)
    named = _named(at)
    columns = [_column(spec, base, donor, cut_alike) for _, spec in named]
    return Places(
        tuple(name for name, _ in named),
        torch.tensor([own for own, _ in columns]).T,
        torch.tensor([theirs for _, theirs in columns]).T,
    )


def find_text(text: str, prompts: PromptTokens, row: int) -> int:
    """Return the index of the token that holds the last character of ``text`` in one prompt.

    Raises:
        WorkbenchError: with the tokens shown, for a text that is not there or is there twice.
    """
    whole, found = prompts.text(row), []
    start = whole.find(text) if text else -1
    while start >= 0:
        found.append(start)
        start = whole.find(text, start + 1)
    if len(found) != 1:
        said = f"occurs {len(found)} times" if found else "does not occur"
        mend = "give more of the text around it" if found else "name text that is there"
        raise WorkbenchError(
            f"{text!r} {said} in prompt {row}, whose tokens are "
            f"{show_tokens(prompts.pieces[row])}; {mend}, or an index."
        )
    last = found[0] + len(text)
    return next(index for index, end in enumerate(prompts.ends(row)) if end >= last)


def _named(at: At) -> list[tuple[str, Any]]:
    if isinstance(at, Mapping):
        named = list(at.items())
    elif isinstance(at, list | tuple):
        named = [(str(spec), spec) for spec in at]
    else:
        named = [(str(at), at)]
    if not named:
        raise WorkbenchError("Name at least one place, such as at='last'.")
    names = [name for name, _ in named]
    if len({*names}) != len(names):
        raise WorkbenchError(f"Every place is named once; got {', '.join(names)}.")
    return named


def _column(
    spec: Any, base: PromptTokens, donor: PromptTokens | None, cut_alike: bool
) -> tuple[list[int], list[int]]:
    """Return the token index of one place in every prompt, and in every donor.

    Raises:
        WorkbenchError: as :func:`find_places`.
    """
    pair = isinstance(spec, tuple)
    if pair and len(spec) != 2:
        raise WorkbenchError(
            "A named span is a text in the prompt, or a pair of texts: in the prompt and in its "
            f"donor; got {spec!r}."
        )
    ours, theirs = spec if pair else (spec, spec)
    own = [_index(part, base, row) for row, part in enumerate(_by_row(ours, len(base)))]
    if donor is None:
        return own, own
    other = []
    for row, part in enumerate(_by_row(theirs, len(base))):
        same = cut_alike and base.lengths[row] == donor.lengths[row]
        if isinstance(part, int) and not same and not (pair and cut_alike):
            raise _unaligned(base, donor, row, cut_alike)
        absent = isinstance(part, str) and part != LAST and part not in donor.text(row)
        if absent and not pair and same:
            other.append(own[row])
        elif absent and not pair:
            raise _unaligned(base, donor, row, cut_alike)
        else:
            other.append(_index(part, donor, row))
    return own, other


def _by_row(spec: Any, rows: int) -> list[Any]:
    if not isinstance(spec, list):
        return [spec] * rows
    if len(spec) != rows:
        raise WorkbenchError(f"A place names {len(spec)} texts for {rows} prompts; name one each.")
    return spec


def _index(spec: Any, prompts: PromptTokens, row: int) -> int:
    length = prompts.lengths[row]
    if isinstance(spec, int) and not isinstance(spec, bool):
        if not -length <= spec < length:
            raise WorkbenchError(
                f"Position {spec} lies outside prompt {row}, which has {length} tokens: "
                f"{show_tokens(prompts.pieces[row])}; count from 0, or from -1 at its end."
            )
        return spec % length
    if spec == LAST:
        return length - 1
    if isinstance(spec, str):
        return find_text(spec, prompts, row)
    raise WorkbenchError(f"A place is 'last', an index or a text; got {spec!r}.")


def _every_token(base: PromptTokens, donor: PromptTokens | None, cut_alike: bool) -> Places:
    for row, length in enumerate(base.lengths):
        if donor is not None and not (cut_alike and donor.lengths[row] == length):
            raise _unaligned(base, donor, row, cut_alike)
    if len({*base.lengths}) > 1:
        raise WorkbenchError(
            f"The prompts have {min(base.lengths)} to {max(base.lengths)} tokens, so their tokens "
            "are no common axis; name the places, for example at=['last'] or "
            "at={'subject': [...one text for each prompt...]}."
        )
    length = base.lengths[0]
    index = torch.arange(length).expand(len(base), -1)
    return Places(tuple(_label(base, at) for at in range(length)), index, index)


def _label(prompts: PromptTokens, at: int) -> str:
    pieces = list(dict.fromkeys(row[at].strip() for row in prompts.pieces))
    return f"{at} {pieces[0] or '␣'}" + (f" / +{len(pieces) - 1}" if len(pieces) > 1 else "")


def _unaligned(
    base: PromptTokens, donor: PromptTokens, row: int, cut_alike: bool
) -> WorkbenchError:
    ours, theirs = show_tokens(base.pieces[row]), show_tokens(donor.pieces[row])
    if cut_alike:
        fault = (
            f"Prompt {row} has {base.lengths[row]} tokens ({ours}) and its donor "
            f"{donor.lengths[row]} ({theirs})"
        )
    else:
        fault = (
            f"The donor model gives its prompt {row} other tokens ({theirs}) than the patched "
            f"model would, whose own prompt is {ours}"
        )
    return WorkbenchError(
        f"{fault}, so an index means another place in each; name the places: at='last', or "
        "at={'subject': ('text in the prompt', 'text in the donor')}."
    )
