"""Define the settings of how answers and confidence are asked for, and what writes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.settings.fields import Settings


class ElicitSettings(Settings):
    """How answers and confidence are asked for."""

    format: str = Field(
        "percent", description="a row of the table of formats, see 'workbench formats'"
    )
    answer_tokens: int = Field(16, ge=1, le=100_000, description="most tokens of an answer")
    reasoning_tokens: int = Field(
        96,
        ge=1,
        le=100_000,
        description="most tokens of the reasoning before an answer, where there is any",
    )
    template: Literal["chat", "plain"] = Field(
        "chat",
        description="turns by the model's chat template, or as plain text with worked examples, "
        "which base models and instruct models can be compared under",
    )
    thinking: Literal["off", "on"] = Field(
        "off",
        description="whether a model whose chat template has thoughts thinks before it answers",
    )
    thinking_tokens: int = Field(
        1024,
        ge=1,
        le=100_000,
        description="most tokens of a thought; one that is cut there is closed, counted, and its "
        "answer is not graded",
    )
    thinking_history: Literal["template", "kept"] = Field(
        "template",
        description="what a later turn shows of the thought: what the template writes in history, "
        "mostly nothing, or the thought where it was thought",
    )
    engine: Literal["exact", "vllm"] = Field(
        "exact",
        description="what writes answers, thoughts and samples: the passes that read everything "
        "else, or vLLM (the extra vllm) in bulk",
    )
    engine_rows: int = Field(
        32,
        ge=1,
        le=10_000,
        description="prompts on which such an engine is first compared with the exact path",
    )
    engine_agreement: float = Field(
        0.95, ge=0, le=1, description="least share of them that must agree, ties included"
    )
    engine_memory: float = Field(
        0.5, gt=0, lt=1, description="share of an accelerator's memory that the engine takes"
    )
    engine_devices: int = Field(
        1, ge=1, le=1024, description="accelerators that the engine's weights are split over"
    )
