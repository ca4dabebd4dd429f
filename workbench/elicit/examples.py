"""List the worked examples that a model without a chat template is shown before a question.

They are the same for every question and every format, which writes them in its own layout and
scale: a question, its answer, some reasoning for formats that reason first, and how certain one who
answers may be. Certainty falls with how few people know the answer, and the one wrong answer has
the least, so that the scale is shown in use. None is a built-in question.

They do not show a calibrated speaker: four answers say nothing of how often such certainty is
justified. Models copy from examples, so numbers under them compare models, not one model with what
it states in a chat.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Example:
    """A worked example: ``certainty`` is a share, 1 for sure of being right."""

    question: str
    answer: str
    reasoning: str
    certainty: float

    def __post_init__(self) -> None:
        if not 0 <= self.certainty <= 1:
            raise WorkbenchError(
                f"The example {self.question!r} is certain to {self.certainty}; give a share from "
                "0 to 1."
            )


EXAMPLES = (
    Example(
        "How many strings does a viola have?",
        "4",
        "A viola is tuned in fifths like a cello, to C, G, D and A.",
        0.95,
    ),
    Example(
        "Who composed the opera The Bartered Bride?",
        "Antonin Dvorak",
        "It is a Czech comic opera, and the Czech composer I know best is Dvorak.",
        0.2,
    ),
    Example(
        "Which strait separates the Black Sea from the Sea of Marmara?",
        "Bosporus",
        "The Sea of Marmara lies between two straits; the Dardanelles lead to the Aegean, the "
        "other to the Black Sea.",
        0.85,
    ),
    Example(
        "In which year was the Treaty of Tordesillas signed?",
        "1494",
        "It divided the newly found lands soon after the voyage of 1492.",
        0.6,
    ),
)
