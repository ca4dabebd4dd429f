"""Short prompts of token ids, and the trie of a format's scale on a tiny tokenizer."""

from __future__ import annotations

from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel

PROMPTS = [[5, 9, 80, 33], [7, 100, 45, 6, 200, 31], [14, 3, 70]]


def trie_of(lm: LanguageModel, name: str = "percent") -> ScaleTrie:
    return scale_tokens(lm.tokenizer, FORMATS[name]).trie
