"""Read a checkpoint's weights through transformers, all of them or none.

transformers fills weights that a checkpoint lacks with random numbers and only warns; here that is
an error, because every number measured on such a model would be noise.

Weights that keep the dtype of their file are views of the file, mapped into memory. Weights that do
not are read and converted one after the other, because the pages of a mapped file would stay in
memory until the last of them is converted: a bfloat16 file held as float32 would take half of the
weights' memory once more.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import torch
from accelerate import init_empty_weights
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    MODEL_FOR_MULTIMODAL_LM_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
)

from workbench.compat import supports_sdpa, unmapped_files
from workbench.errors import WorkbenchError
from workbench.models.progress_bars import quiet_bars

Kernel = Literal["sdpa", "eager"]
CLASSES = (
    (MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM),
    (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, AutoModelForImageTextToText),
    (MODEL_FOR_MULTIMODAL_LM_MAPPING, AutoModelForMultimodalLM),
)
"""Where a configuration is looked up: the first that has it is loaded, so that a family with a
class for text alone is loaded as that.
"""


def class_of(config: Any) -> Any:
    """Return the automatic class that loads a model of this configuration: of causal language
    models, or of those that read images or sound as well.

    Raises:
        WorkbenchError: for a configuration of another kind of model.
    """
    for known, automatic in CLASSES:
        if type(config) in known:
            return automatic
    if config is None or getattr(config, "auto_map", None):
        return AutoModelForCausalLM  # reads the configuration itself, or runs the model's own code
    raise WorkbenchError(
        f"transformers has no causal language model of the family {config.model_type!r}: give the "
        "checkpoint of one"
    )


def kernel_for(config: Any, wanted: Kernel) -> Kernel:
    """Return the attention kernel ``wanted``, or "eager" for a family that has no other."""
    for known, _ in CLASSES:
        if type(config) in known:
            return wanted if supports_sdpa(known[type(config)]) else "eager"
    return wanted


def read_model(name: str, place: str, *, quiet: bool, mapped: bool = True, **options: Any) -> Any:
    """Load the causal LM at ``place``, a folder or hub id; ``options`` go to ``from_pretrained``.

    Args:
        mapped: whether the files are mapped into memory, for weights that stay as they are there.

    Raises:
        WorkbenchError: when the checkpoint, called ``name`` in the message, lacks weights or has
            some of another shape; the host library's own errors pass through.
    """
    try:
        with quiet_bars(quiet), nullcontext() if mapped else unmapped_files():
            model, report = class_of(options.get("config")).from_pretrained(
                place, output_loading_info=True, **options
            )
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise WorkbenchError(
            f"the checkpoint of {name!r} has weights of another shape than its configuration asks "
            "for: take both from the same model"
        ) from error
    absent = sorted(map(str, report["missing_keys"])) + sorted(
        str(key[0]) for key in report["mismatched_keys"]
    )
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise WorkbenchError(
            f"the checkpoint of {name!r} lacks weights that its configuration asks for "
            f"({', '.join(absent[:3])}{more}): take both from the same model"
        )
    return model


def build_empty(
    config: Any,
    dtype: torch.dtype,
    attention: Kernel,
    *,
    trust_remote_code: bool,
    with_buffers: bool,
) -> Any:
    """Return the transformers model of a configuration without its weights, which have shapes and
    no numbers, frozen and in evaluation mode.

    Args:
        with_buffers: compute the buffers, which no checkpoint holds; else they are empty too.
    """
    with init_empty_weights(include_buffers=not with_buffers):
        model = class_of(config).from_config(
            config,
            dtype=dtype,
            attn_implementation=kernel_for(config, attention),
            trust_remote_code=trust_remote_code,
        )
    model.tie_weights()
    return model.eval().requires_grad_(False)
