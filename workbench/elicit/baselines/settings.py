"""Hold the settings that decide the numbers of training-free baselines, and how much memory they
take.
"""

from __future__ import annotations

from pydantic import Field

from workbench.settings.defaults import TOKENS_PER_FORWARD
from workbench.settings.fields import Seed, Settings


class BaselineSettings(Settings):
    """The settings of sampling, listing and memory. The same settings and seed give the same
    samples whatever the batches are.
    """

    samples: int = Field(10, ge=2, le=10_000, description="sampled answers of each question")
    temperature: float = Field(1.0, ge=0.01, le=100, description="of the sampled answers")
    top_p: float = Field(
        1.0, gt=0, le=1, description="share of the distribution that is sampled from"
    )
    answer_tokens: int = Field(16, ge=1, le=100_000, description="most tokens of a sampled answer")
    guesses: int = Field(4, ge=1, le=1000, description="guesses the model is asked to list")
    list_tokens: int = Field(64, ge=1, le=100_000, description="most tokens of such a list")
    format: str = Field("percent", description="elicitation format of the stated confidence")
    tokens_per_forward: int = Field(
        TOKENS_PER_FORWARD, ge=1, le=10**9, description="memory bound: tokens of one forward pass"
    )
    tokens_held: int = Field(
        8192,
        ge=1,
        le=10**9,
        description="memory bound: tokens whose keys and values are held at once",
    )
    seed: Seed = 0
