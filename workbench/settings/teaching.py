"""Define the settings of training: the adapter, its training, and a head on the model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from workbench.settings.fields import Bytes, Settings

Width = Annotated[int, Field(ge=1, le=10**6)]


class LoraSettings(Settings):
    """The adapter: on attention alone by default, where a reply attends to what precedes it.

    The published one is on k_proj, o_proj, gate_proj, up_proj and down_proj and acts on the whole
    conversation.
    """

    rank: int = Field(16, ge=1, le=10**5)
    alpha: int = Field(32, ge=1, le=10**6)
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj"), min_length=1)


class HeadSettings(Settings):
    """A small network on the model, from a hidden state to the probability of being right: the
    published one by default (Kapoor et al. 2024, arXiv 2406.08391).
    """

    widths: tuple[Width, ...] = Field(
        (256, 128, 64), min_length=1, max_length=20, description="units of its hidden layers"
    )
    epochs: int = Field(60, ge=1, le=100_000)
    batch_size: int = Field(8, ge=1, le=10**6, description="rows of one step")
    learning_rate: float = Field(1e-4, gt=0, le=10)


class TeachSettings(Settings):
    """LoRA training on probe targets.

    The published primary recipe writes the target as text with an adapter on the whole
    conversation, three epochs at 2e-4 with 16 rows per step. The default acts on the confidence
    reply alone, which costs a seventh of the tokens, and aims at a distribution; see the README for
    how that was chosen.
    """

    adapter_scope: Literal["reply", "conversation"] = Field(
        "reply",
        description=(
            "tokens the adapter acts on: the confidence reply alone, or the whole conversation"
        ),
    )
    target: Literal["distribution", "text"] = Field(
        "distribution",
        description=(
            "what is taught: a distribution over the scale, or the nearest value written out"
        ),
    )
    target_std: float = Field(
        0.06,
        ge=1e-4,
        le=100,
        description="standard deviation of a target distribution, as a share of the scale",
    )
    lora: LoraSettings = LoraSettings()
    start_layer: Annotated[int, Field(ge=0, le=10_000)] | Literal["middle", "patching"] = Field(
        "middle",
        description="layer at which the adapter begins; states below are computed once. middle: "
        "half of the model's layers; patching: where the base model's confidence begins to be "
        "carried (see workbench.patch.start_layer)",
    )
    start_layer_questions: int = Field(
        32, ge=3, le=10**6, description="training questions patched to find that layer"
    )
    start_layer_slope: float = Field(
        0.1, gt=0, le=10, description="donor slope that counts as carried there"
    )
    activation_cache_bytes: Bytes = Field(
        1_000_000_000, description="memory bound: states kept below the adapter"
    )
    resident_bytes: Bytes = Field(
        8_000_000_000,
        description="with model.placement=stream: the layers that are trained stay in memory where "
        "they take no more; otherwise each step reads them forward and back",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="compute the inside of layers again on the way back instead of keeping it: "
        "less memory for about a third more products",
    )
    learning_rate: float = Field(1e-3, gt=0, le=10)
    loraplus_lr_ratio: float = Field(
        8.0,
        ge=1,
        le=10_000,
        description="LoRA+: learning rate of the B matrices over that of the A matrices",
    )
    weight_decay: float = Field(
        2.0,
        ge=0,
        le=1000,
        description=(
            "AdamW's decay of the adapter: without it layers push against one another, see the "
            "README"
        ),
    )
    epochs: int = Field(4, ge=1, le=100_000)
    on_policy_steps: int | None = Field(
        None,
        ge=1,
        le=10**8,
        description=(
            "updates of an arm that samples replies, none for its own number; other arms count "
            "epochs"
        ),
    )
    group_size: int = Field(
        8, ge=2, le=10_000, description="replies sampled to each prompt, by an arm that samples"
    )
    calibration_fraction: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the training questions not taught, to fit a temperature on",
    )
    head: HeadSettings = HeadSettings()
    batch_size: int = Field(8, ge=1, le=10**6, description="rows per device held in memory at once")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=10**6, description="such batches per optimiser step"
    )
    checkpoint_steps: int = Field(50, ge=1, le=10**8)
