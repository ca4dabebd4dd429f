"""Configuration of a run: typed, frozen, unknown keys refused, written beside every result."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from workbench.errors import WorkbenchError
from workbench.files.local_names import local_name
from workbench.settings.errors import explained
from workbench.settings.fields import Bytes, Seed, Settings
from workbench.settings.file import read_settings_file

Penalty = Annotated[float, Field(ge=1e-9, le=1e5)]
Layer = Annotated[int, Field(ge=0, le=10_000)]


def _day(value: Any) -> dt.date:
    """A date as YAML reads it or as it is written; never a number of seconds or a time of day,
    which pydantic would take.
    """
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return dt.date.fromisoformat(value)
    raise ValueError("a date is written YEAR-MONTH-DAY, such as 2025-01-01")


class ModelSettings(Settings):
    """Which model, and how it computes."""

    name: str = Field(
        "default", description="'default', a Hugging Face id, a folder, or a GGUF file"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="dtype of the weights"
    )
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description=(
            "matrix products of elicitation and training; auto: bfloat16 where the processor has it"
        ),
    )
    trust_remote_code: bool = Field(False, description="run code that comes with a hub model")
    chat_template: Path | None = Field(
        None, description="file with a chat template, for models without one"
    )
    date: Annotated[dt.date, BeforeValidator(_day)] = Field(
        dt.date(2025, 1, 1),
        description=(
            "date that chat templates write as today's, so that no result depends on the clock"
        ),
    )
    tokens_per_forward: int = Field(
        2048, ge=1, le=10**9, description="memory bound: tokens of one forward pass"
    )
    kv_cache_bytes: Bytes = Field(
        1_600_000_000, description="memory bound: keys and values kept for teaching and reading"
    )

    @property
    def shown(self) -> str:
        """The model's name as pages show it, without the folders that a local one lies in."""
        return local_name(self.name)


class QuestionSettings(Settings):
    """Which questions, and how they are split."""

    source: str = Field(
        "builtin", description="'builtin', a hub set (triviaqa, mmlu:validation), or a file"
    )
    mirror: Path | None = Field(
        None, description="folder with hub repositories under their ids, instead of the hub"
    )
    ask_as: Literal["published", "choice", "open"] = Field(
        "published", description="as published, all among options, or all without options"
    )
    options: int = Field(
        4, ge=2, le=26, description="options of an open question asked as a choice"
    )
    graded_file: Path | None = Field(
        None,
        description=(
            "JSONL of graded answers, taken in place of questions to be answered and graded"
        ),
    )
    domains: tuple[str, ...] = Field(
        (), description="domains that questions are drawn from; all where none is named"
    )
    limit: int | None = Field(
        580, ge=1, le=10**8, description="questions drawn evenly over domains; none for all"
    )
    train_fraction: float = Field(0.65, gt=0, lt=1)
    held_out_domains: tuple[str, ...] = Field(
        (),
        description=(
            "domains that nothing is fitted on or taught from; all their questions are held out"
        ),
    )


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


class ProbeConfig(Settings):
    """Layer-wise probes."""

    folds: int = Field(5, ge=3, le=1000, description="outer folds of the cross-fit")
    inner_folds: int = Field(
        4, ge=2, le=1000, description="folds that choose C; folds - 1 halves the work"
    )
    inverse_penalties: tuple[Penalty, ...] = Field(
        (1e-4, 1e-3, 1e-2, 1e-1), min_length=1, max_length=100
    )
    ensemble_sites: int = Field(
        20,
        ge=1,
        le=10**6,
        description="sites whose mean log-odds is the teaching target of a question",
    )
    shuffles: int = Field(
        5, ge=1, le=10_000, description="permutations of the shuffled-label control"
    )


class LoraSettings(Settings):
    """The adapter: on attention alone by default, where a reply fetches what stands before it.

    The published one is on k_proj, o_proj, gate_proj, up_proj and down_proj and acts on the whole
    conversation.
    """

    rank: int = Field(16, ge=1, le=10**5)
    alpha: int = Field(32, ge=1, le=10**6)
    dropout: float = Field(0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj"), min_length=1)


class TeachSettings(Settings):
    """LoRA training on probe targets.

    The published primary recipe writes the target as text with an adapter on the whole
    conversation, three epochs at 2e-4 with 16 rows a step. The default acts on the confidence reply
    alone, which costs a seventh of the tokens, and aims at a distribution; see the README for how
    that was chosen.
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
    start_layer: Annotated[int, Field(ge=0, le=10_000)] | Literal["patching"] = Field(
        0,
        description="layer at which the adapter begins; states below are computed once. patching: "
        "where the base model's confidence begins to be carried (see workbench.loop.start_layer)",
    )
    activation_cache_bytes: Bytes = Field(
        1_000_000_000, description="memory bound: states kept below the adapter"
    )
    learning_rate: float = Field(1e-3, gt=0, le=10)
    loraplus_lr_ratio: float = Field(
        8,
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
    batch_size: int = Field(8, ge=1, le=10**6, description="rows per device held in memory at once")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=10**6, description="such batches per optimiser step"
    )
    checkpoint_steps: int = Field(50, ge=1, le=10**8)


class PatchSettings(Settings):
    """Activation patching of the tuned model's states into the base model."""

    n_questions: int = Field(16, ge=8, le=10**6, description="held-out questions patched")
    layers: tuple[Layer, ...] | None = Field(None, min_length=2, description="none for all")
    control_layers: int = Field(
        6, ge=2, le=10_000, description="layers of the random-position control, evenly spread"
    )
    n_reference: int = Field(
        1,
        ge=1,
        le=10**6,
        description="questions on which the packed sweep is compared with the loop",
    )


class RunConfig(Settings):
    """Everything that decides a run's results."""

    model: ModelSettings = ModelSettings()
    questions: QuestionSettings = QuestionSettings()
    elicit: ElicitSettings = ElicitSettings()
    probe: ProbeConfig = ProbeConfig()
    teach: TeachSettings = TeachSettings()
    patch: PatchSettings = PatchSettings()
    bootstrap_resamples: int = Field(
        2000, ge=100, le=10**6, description="bootstrap resamples of every interval"
    )
    seed: Seed = 0


def load_config(
    path: Path | None,
    overrides: dict[str, Any] | None = None,
    defaults: dict[str, Any] | None = None,
) -> RunConfig:
    """Settings from a YAML or JSON file with dotted-key ``overrides`` on top and ``defaults`` where
    it says nothing.

    A file that says what is the default anyway, such as one that lists every setting, says nothing
    by that: recipes and arms have settings of their own, which only what was changed or overridden
    goes before.

    Errors: WorkbenchError naming the file or key for unreadable files, unknown keys and values out
    of range.
    """
    data = {} if path is None else read_settings_file(path)
    data = _changed(data, RunConfig().model_dump(mode="json"))
    _fill(data, defaults or {})
    for key, value in (overrides or {}).items():
        _set(data, key.split("."), value)
    return _validated(data)


def _validated(data: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise WorkbenchError(explained(error, RunConfig)) from error


def with_defaults(config: RunConfig, defaults: Mapping[str, Any]) -> RunConfig:
    """The settings with dotted-key ``defaults`` where ``config`` was given nothing; what was not
    given stays open to later ones.

    Errors: WorkbenchError naming the key for values out of range.
    """
    data = config.model_dump(mode="json", exclude_unset=True)
    _fill(data, defaults)
    return _validated(data)


def dump_config(config: Settings) -> str:
    """The settings as indented JSON."""
    return json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True)


def _changed(data: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` without what is the same in ``defaults``, and without groups that hold nothing."""
    out = {}
    for key, value in data.items():
        # A truth value equals 0 or 1 without being meant so.
        if (
            key in defaults
            and value == defaults[key]
            and not isinstance(value, bool) ^ isinstance(defaults[key], bool)
        ):
            continue
        if value is None and isinstance(defaults.get(key), dict):
            continue
        both = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        out[key] = _changed(value, defaults[key]) if both else value
    return out


def _fill(data: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Put dotted-key ``defaults`` where ``data`` says nothing."""
    for key, value in defaults.items():
        if not _has(data, key.split(".")):
            _set(data, key.split("."), value)


def _has(data: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _set(data: dict[str, Any], path: list[str], value: Any) -> None:
    for depth, part in enumerate(path[:-1]):
        if data.get(part) is None:
            data[part] = {}
        data = data[part]
        if not isinstance(data, dict):
            section = ".".join(path[: depth + 1])
            raise WorkbenchError(
                f"Configuration key {section!r} holds a value, so {'.'.join(path)!r} cannot be set "
                "in it."
            )
    data[path[-1]] = value
