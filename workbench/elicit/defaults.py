"""Bounds of an answer where a caller names none: those of the configuration."""

from __future__ import annotations

from workbench.config import ElicitSettings
from workbench.elicit.answer import Limits

LIMITS = Limits(ElicitSettings().answer_tokens, ElicitSettings().reasoning_tokens)
