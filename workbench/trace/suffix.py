"""Continue prompts from cached prefixes, with the states of whole prompts up to rounding.

A prompt is a prefix and a suffix. Suffixes of a batch are padded on the left, so there may be
padding between prefix and suffix; no token attends to it, and :class:`Prompts` marks its columns as
not valid. Prefixes come from :class:`~workbench.trace.prefix_cache.PrefixCache`, or are one prefix
that all prompts share, computed in a row of its own.

A pass costs the tokens of the suffixes, and of one shared prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor
from transformers import DynamicCache

from workbench.models import LanguageModel
from workbench.trace.edits import Recording
from workbench.trace.forward import every_layer, run_joint
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail, empty_tail, join_prompts, pad_prompts
from workbench.trace.masks import visibility
from workbench.trace.prefix_cache import ExtendableCache
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_tail
from workbench.trace.token_tree import TokenTree, end_columns, tree_tail

FEWEST_SHARED = 4


@dataclass(frozen=True, eq=False)
class SuffixPass:
    """The results of a pass over whole prompts, or over what follows their kept beginnings.

    Attributes:
        prompts: the whole prompts; after kept beginnings, with padding between beginning and rest
            where rests are shorter.
        final: [rows, 1 + nodes, width] after the final norm at the prompts' ends and the nodes
            after them.
        recorded: [rows, layers, n, width] residual stream at what was to be recorded, or None.
        cache: keys and values of prompts and nodes, which may grow.
    """

    prompts: Prompts
    final: Tensor
    recorded: Tensor | None
    cache: DynamicCache


def common_prefix(sequences: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the tokens all sequences begin with, without the last token of any sequence. Nothing
    is returned where they are too few to be worth a pass.
    """
    if len(sequences) < 2:
        return ()
    columns = zip(*(tokens[:-1] for tokens in sequences), strict=False)
    shared = tuple(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
    return shared if len(shared) >= FEWEST_SHARED else ()


def cache_common_prefix(lm: LanguageModel, shared: Sequence[int], rows: int) -> CachedPrompts:
    """Compute once, and return, the keys and values of the tokens that ``rows`` prompts
    begin with.
    """
    alone = pad_prompts([shared], lm.tokenizer.pad_token_id, lm.device)
    cache = PromptCache(alone.columns)
    run_joint(lm, alone, empty_tail(alone), None, (), cache)
    every = [part.expand(rows, -1) for part in (alone.tokens, alone.valid, alone.positions)]
    return CachedPrompts(Prompts(*every), cache, {}, 0)


def forward_suffix(
    lm: LanguageModel,
    kept: CachedPrompts,
    rests: Sequence[Sequence[int]],
    tree: TokenTree,
    record: Tensor | None = None,
) -> SuffixPass:
    """Run one pass over the ``rests`` [rows] of the prompts that ``kept`` begins, and the nodes of
    ``tree`` after them.

    Args:
        record: [rows, n] tokens, counted from each whole prompt's first, whose states to record;
            all must be in the rests.
    """
    rest = pad_prompts(rests, lm.tokenizer.pad_token_id, lm.device)
    tail = suffix_tail(kept, rest, tree)
    recording = None
    if record is not None:
        after = kept.prompts.lengths[:, None]
        recording = Recording(rest.column_of(record.to(after.device) - after), every_layer(lm), {})
    cache = ExtendableCache(kept)
    final = forward_tail(
        lm, kept, tail, end_columns(rest, tree), (), recording=recording, cache=cache
    )
    recorded = None if recording is None else recording.stacked(lm.device)
    return SuffixPass(join_prompts(kept.prompts, rest), final, recorded, cache)


def suffix_tail(kept: CachedPrompts, rest: Prompts, tree: TokenTree) -> Tail:
    """Lay out what follows kept beginnings: every row's ``rest``, and the nodes of ``tree`` after
    it.
    """
    nodes = tree_tail(rest, tree)
    tokens = torch.cat([rest.tokens, nodes.tokens], dim=1)
    positions = torch.cat([rest.positions, nodes.positions], dim=1)
    return Tail(
        tokens=tokens,
        positions=positions + kept.prompts.lengths[:, None],
        prefix_end=torch.full_like(tokens, kept.prompts.columns),
        attends_to=visibility(rest, nodes),
        first_layer=(FIRST_LAYER,) * tokens.shape[1],
        source_column=torch.zeros_like(tokens),
    )
