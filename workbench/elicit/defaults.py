"""Take the bounds of an answer from the configuration, its defaults where a caller names none."""

from __future__ import annotations

from workbench.config import ElicitSettings
from workbench.elicit.answer import Limits


def limits_of(elicit: ElicitSettings) -> Limits:
    """Return the bounds that the settings of elicitation give."""
    return Limits(elicit.answer_tokens, elicit.reasoning_tokens, elicit.thinking_tokens)


LIMITS = limits_of(ElicitSettings())
