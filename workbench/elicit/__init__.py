"""Asking a model for answers and for its confidence in them.

Formats are data; a conversation is tokens with named positions; confidence is read three ways from one forward: the text
the model writes, the exact distribution over the scale by number trie, and the states that carry it. The function that
continues text greedily stays in :mod:`workbench.elicit.greedy`, the module of its name.
"""

from workbench.elicit.answer import answer_batch, first_line
from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    NumberPrefix,
    answer_tokens,
    check_conversation,
    confidence_conversation,
    number_prefix,
    number_tokens,
    show_position,
)
from workbench.elicit.formats import FORMATS, PERCENT, Format, Scale, format_named
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import ConfidenceReading, expected_confidence, mass_on_scale, read_confidence
from workbench.elicit.trie import NumberTrie, build_trie, distribution

__all__ = [
    "FORMATS",
    "PERCENT",
    "POSITIONS",
    "ConfidenceReading",
    "Conversation",
    "Format",
    "NumberPrefix",
    "NumberTrie",
    "Scale",
    "answer_batch",
    "answer_tokens",
    "build_trie",
    "check_conversation",
    "confidence_conversation",
    "distribution",
    "expected_confidence",
    "first_line",
    "format_named",
    "mass_on_scale",
    "number_prefix",
    "number_tokens",
    "parse_confidence",
    "read_confidence",
    "show_position",
]
