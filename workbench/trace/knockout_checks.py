"""Check, before any forward runs, that a model has the edges a knockout cuts, and that no query
loses all it sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.masks import SLIDING, mask_kinds


def require_attention(lm: LanguageModel) -> None:
    """Refuse models in which tokens reach each other by other ways than attention.

    Raises:
        WorkbenchError: for such a model.
    """
    if not lm.architecture.packable:
        raise WorkbenchError(
            f"Attention edges of {lm.architecture.family} cannot be knocked out: "
            f"{lm.architecture.why_not}, which would go round the cut; use a model whose layers "
            "mix tokens by attention alone."
        )


def require_tokens(knockout: AttentionKnockout, lengths: Tensor, nodes: int) -> None:
    """Refuse a knockout of other rows, and tokens outside prompts of ``lengths`` [rows] and the
    ``nodes`` after them.

    Raises:
        WorkbenchError: for either.
    """
    if knockout.rows != len(lengths):
        raise WorkbenchError(
            f"A knockout names tokens of {knockout.rows} prompts; there are {len(lengths)}."
        )
    for name, tokens in (("query", knockout.queries.cpu()), ("key", knockout.keys.cpu())):
        outside = (tokens < 0) | (tokens >= lengths[:, None] + nodes)
        if bool(outside.any()):
            row, at = outside.nonzero()[0].tolist()
            raise WorkbenchError(
                f"The {name} {int(tokens[row, at])} of a knockout lies outside prompt {row}, which "
                f"has {int(lengths[row])} tokens; count from 0 at the row's first token, padding "
                "left out."
            )


def require_keys_left(
    lm: LanguageModel, knockouts: Sequence[AttentionKnockout], lengths: Tensor
) -> None:
    """Refuse the knockouts of one branch that together leave a query no token of its prompt to
    attend to, itself included: its softmax would have nothing to weigh.

    Raises:
        WorkbenchError: for such a query.
    """
    own = [
        {int(token) for token in row[torch.isin(row, keys)]}
        for row, keys in zip(*_joined(knockouts), strict=True)
    ]
    for row in range(len(lengths)):
        for query in sorted(own[row]):
            for layer in sorted({layer for each in knockouts for layer in each.layers}):
                _require_key(lm, knockouts, row, query, layer, int(lengths[row]))


def _joined(knockouts: Sequence[AttentionKnockout]) -> tuple[Tensor, Tensor]:
    queries, keys = (
        torch.cat([getattr(each, name).cpu() for each in knockouts], dim=1)
        for name in ("queries", "keys")
    )
    return queries, keys


def _require_key(
    lm: LanguageModel,
    knockouts: Sequence[AttentionKnockout],
    row: int,
    query: int,
    layer: int,
    length: int,
) -> None:
    mine = [each for each in knockouts if layer in each.layers and query in each.queries[row]]
    every: set[int] = set()
    of_head: dict[int, set[int]] = {}
    for each in mine:
        keys = {int(key) for key in each.keys[row]}
        for head in each.heads or ():
            of_head.setdefault(head, set()).update(keys)
        if each.heads is None:
            every |= keys
    first = _first_seen(lm, layer, query)
    seen = {*range(first, min(query + 1, length)), query}
    if any(seen <= every | keys for keys in (set[int](), *of_head.values())):
        raise WorkbenchError(
            f"The knockout leaves token {query} of prompt {row} nothing to attend to in layer "
            f"{layer}; leave it at least one token that it sees, such as itself."
        )


def _first_seen(lm: LanguageModel, layer: int, query: int) -> int:
    """Return the first token that a query sees in a layer, by its window or chunk."""
    kinds = mask_kinds(lm)
    by_type = lm.architecture.masks == "by_layer_type"
    window, chunk = kinds[lm.config.layer_types[layer] if by_type else SLIDING]
    if window:
        return max(0, query - window + 1)
    return query // chunk * chunk if chunk else 0
