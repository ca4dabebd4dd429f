"""Define the settings of a run by what they decide: the model, the questions, the probes, the
patches, and what is measured besides them.

How questions are asked is in :mod:`workbench.settings.asking`, training in
:mod:`workbench.settings.teaching`. What every single setting must be is
in :mod:`workbench.settings.fields`.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from workbench.files.local_names import local_name
from workbench.settings.defaults import (
    CONTROL_LAYERS,
    MOST_WAITING_BYTES,
    PROBE_MEMORY_BYTES,
    RECORDED_BYTES,
    REMOTE_RETRIES,
    REMOTE_WAIT,
    RESUME_BYTES,
    TOKENS_PER_FORWARD,
)
from workbench.settings.fields import Bytes, Settings

Penalty = Annotated[float, Field(ge=1e-9, le=1e5)]
Layer = Annotated[int, Field(ge=0, le=10_000)]


def _day(value: Any) -> dt.date:
    """Return a date as YAML reads it or as it is written; never a number of seconds or a time of
    day, which pydantic would take.

    Raises:
        ValueError: for another form.
    """
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return dt.date.fromisoformat(value)
    raise ValueError("a date is written YEAR-MONTH-DAY, such as 2025-01-01")


class ModelSettings(Settings):
    """Which model, and how it computes."""

    name: str = Field(
        "default",
        description=(
            "'default' or another embedded model (`workbench models embedded`), a Hugging Face "
            "id, a folder, or a GGUF file"
        ),
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description=(
            "dtype of the weights; auto: float32 on a processor (a quantised checkpoint's own "
            "there), bfloat16 on an accelerator"
        ),
    )
    quantize: Literal["none", "int8", "int4", "fp8", "nf4", "bnb-int8"] = Field(
        "none",
        description=(
            "how the layers' matrices are quantised at load; int8, int4 and fp8 by torchao, the "
            "others by bitsandbytes"
        ),
    )
    device: str = Field("auto", description="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    placement: Literal["device", "auto", "tensor", "stream", "ndif"] = Field(
        "device",
        description=(
            "device: all weights on one device; auto: layers on several; tensor: matrices split "
            "over the processes of torchrun; stream: one layer after another is read from the "
            "files when passes need it, for models larger than memory; ndif: on a server"
        ),
    )
    max_memory: dict[str, str] | None = Field(
        None,
        description=(
            "with placement=auto, the most that weights take on a device, as {0: 20GiB, 1: 20GiB}; "
            "none for nine tenths of what is free"
        ),
    )
    remote: str = Field(
        "ndif",
        description=(
            "server of placement=ndif: ndif, the address of another one, or local for a rehearsal"
        ),
    )
    remote_retries: int = Field(
        REMOTE_RETRIES, ge=0, le=1000, description="how often a lost request is sent again"
    )
    remote_wait: float = Field(
        REMOTE_WAIT,
        gt=0,
        le=10**7,
        description="seconds that a request may hear nothing from the server before it is given up",
    )
    waiting_bytes: Bytes = Field(
        MOST_WAITING_BYTES,
        description=(
            "memory bound of placement=stream: what batches hold that wait for a layer; beyond it "
            "they wait in files"
        ),
    )
    spill_folder: Path | None = Field(
        None,
        description="folder of those files; none for the system's temporary ones",
    )
    resume_passes: Literal["auto", "on", "off"] = Field(
        "auto",
        description=(
            "with placement=stream: keep what layers returned in that folder until their passes "
            "end, so that a killed process goes on after its last finished layer; auto: for layers "
            "of more than 8 GB"
        ),
    )
    resume_bytes: Bytes = Field(
        RESUME_BYTES, description="disk bound of what is kept so; beyond it, passes are made again"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description=(
            "matrix products of elicitation and training; auto: bfloat16 where the processor has it"
        ),
    )
    trust_remote_code: bool = Field(False, description="run code that comes with a hub model")
    chat_template: Path | None = Field(
        None,
        description="file with a chat template, for models without one; or the name of one of the "
        "tokenizer's templates, where it has several",
    )
    date: Annotated[dt.date, BeforeValidator(_day)] = Field(
        dt.date(2025, 1, 1),
        description=(
            "date that chat templates write as today's, so that no result depends on the clock"
        ),
    )
    tokens_per_forward: int = Field(
        TOKENS_PER_FORWARD, ge=1, le=10**9, description="memory bound: tokens of one forward pass"
    )
    kv_cache_bytes: Bytes = Field(
        1_600_000_000, description="memory bound: keys and values kept for teaching and reading"
    )
    recorded_bytes: Bytes = Field(
        RECORDED_BYTES,
        description="memory bound: recorded states beyond it stay on disk, in shards",
    )
    recorded_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number format of states in shards; auto: that of the weights"
    )

    @property
    def shown(self) -> str:
        """The model's name as pages show it, without the folders above a local one."""
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
    skip: int = Field(
        0,
        ge=0,
        le=10**8,
        description="questions of that draw passed over: with the limit of another run, all others",
    )
    train_fraction: float = Field(0.65, gt=0, lt=1)
    held_out_domains: tuple[str, ...] = Field(
        (),
        description=(
            "domains that nothing is fitted on or taught from; all their questions are held out"
        ),
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
    ridge_penalties: tuple[Penalty, ...] = Field(
        (1e1, 1e2, 1e3, 1e4),
        min_length=1,
        max_length=100,
        description="penalties among which the direction of expected confidence is fitted",
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
    memory_bytes: Bytes = Field(
        PROBE_MEMORY_BYTES,
        description="memory bound: what fitting takes; states that do not fit are read in blocks",
    )


class PatchSettings(Settings):
    """Activation patching of the tuned model's states into the base model."""

    n_questions: int = Field(64, ge=8, le=10**6, description="held-out questions patched, at least")
    share: float = Field(
        0.25,
        ge=0,
        le=10,
        description="further ones are patched while patching stays below this share of the work "
        "before it; 0 for none",
    )
    layers: tuple[Layer, ...] | None = Field(None, min_length=2, description="none for all")
    control_layers: int = Field(
        CONTROL_LAYERS,
        ge=2,
        le=10_000,
        description="layers of the random-position control, evenly spread",
    )
    n_reference: int = Field(
        1,
        ge=1,
        le=10**6,
        description="questions on which the packed sweep is compared with the loop",
    )


class AttributionSettings(Settings):
    """Attribution of the confidence to the tokens of the patched questions."""

    share: float = Field(
        0.25,
        ge=0,
        le=10,
        description="the attribution stays below this share of the work before patching; 0 for "
        "none",
    )


class MeasureSettings(Settings):
    """The settings of what is measured besides a run's stages."""

    adapter_answers: int = Field(
        64,
        ge=1,
        le=10**8,
        description="held-out questions answered with an adapter on the whole conversation on",
    )
    consistency_samples: int = Field(
        10, ge=2, le=10_000, description="sampled answers that self-consistency counts"
    )
    pair_circles: int = Field(
        2, ge=1, le=1000, description="random circles of held-out questions compared in pairs"
    )
