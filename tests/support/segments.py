"""Four conversations of a tiny model, in parts."""

from __future__ import annotations

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.segments import Segment, segments_of
from workbench.models import LanguageModel
from workbench.patch.inputs import ModelInputs, Reading
from workbench.patch.metrics import expected_confidence_of

PERCENT = FORMATS["percent"]

QUESTIONS = [
    "What is the capital of Kenya?",
    "How many moons has Mars?",
    "Who wrote the play in question, and when?",
    "Why?",
]

ANSWERS = ["Nairobi", "2", "Shakespeare in 1602", "Yes"]


def scale_inputs(lm: LanguageModel) -> tuple[ModelInputs, Reading, dict[str, Segment]]:
    """The conversations, how their confidence is read, and their parts by name."""
    numbers = scale_tokens(lm.tokenizer, PERCENT)
    rows = [
        confidence_conversation(lm.tokenizer, PERCENT, numbers, q, a)
        for q, a in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    parts = segments_of(lm.tokenizer, PERCENT, numbers, rows, QUESTIONS, ANSWERS, pieces=2)
    reading = Reading(expected_confidence_of(numbers.trie, PERCENT.scale.certain), 2048)
    inputs = ModelInputs(lm, [row.tokens for row in rows])
    return inputs, reading, {part.name: part for part in parts}
