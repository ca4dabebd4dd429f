"""Bounds of elicitation where a caller names none: those of the configuration."""

from __future__ import annotations

from workbench.config import ElicitSettings, ModelSettings
from workbench.elicit.answer import Limits

LIMITS = Limits(ElicitSettings().answer_tokens, ElicitSettings().reasoning_tokens)
TOKENS_PER_FORWARD = ModelSettings().tokens_per_forward
