"""Ask a model for answers and for its confidence in them.

Formats are data: a scale is a row of texts and what they are worth, a format a row of words, layout
and scale. A conversation is tokens with named positions; confidence is read three ways from one
forward: the text the model writes, the exact distribution over the scale by number trie, and the
states that carry it. :func:`ask_texts` gives a table for any format, :func:`ask_pairs` for pairs of
questions. The function that continues text greedily stays in :mod:`workbench.elicit.greedy`, the
module of its name.
"""

from workbench.elicit.answer import Limits, answer_batch, answer_prompts, first_line, reason_batch
from workbench.elicit.ask import Replies, ask_texts
from workbench.elicit.choices import Choices, ask_choice
from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    ScaleTokens,
    answer_tokens,
    check_conversation,
    confidence_conversation,
    number_tokens,
    pair_conversation,
    scale_tokens,
    show_position,
)
from workbench.elicit.format import Format, Layout
from workbench.elicit.formats import FORMATS, format_named
from workbench.elicit.pairs import ask_pairs, neighbours
from workbench.elicit.parse import parse_confidence
from workbench.elicit.prompts import RATINGS, Rating, compose
from workbench.elicit.readout import (
    ConfidenceReading,
    expected_confidence,
    mass_on_scale,
    read_confidence,
)
from workbench.elicit.scales import PERCENT, Scale
from workbench.elicit.trie import ScaleTrie, build_trie

__all__ = [
    "FORMATS",
    "PERCENT",
    "POSITIONS",
    "RATINGS",
    "Choices",
    "ConfidenceReading",
    "Conversation",
    "Format",
    "Layout",
    "Limits",
    "Rating",
    "Replies",
    "Scale",
    "ScaleTokens",
    "ScaleTrie",
    "answer_batch",
    "answer_prompts",
    "answer_tokens",
    "ask_choice",
    "ask_pairs",
    "ask_texts",
    "build_trie",
    "check_conversation",
    "compose",
    "confidence_conversation",
    "expected_confidence",
    "first_line",
    "format_named",
    "mass_on_scale",
    "neighbours",
    "number_tokens",
    "pair_conversation",
    "parse_confidence",
    "read_confidence",
    "reason_batch",
    "scale_tokens",
    "show_position",
]
