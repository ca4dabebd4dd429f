"""Build a randomly initialised model of a model's shape: what an analysis finds there is no work of
training.

The weights are those that the family's own initialisation draws, in float32, on the processor or
the given device; the model takes as much memory as the weights it is like. Adapters are left out.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from workbench.models.language_model import LanguageModel
from workbench.models.server import require_weights_here
from workbench.models.weights import class_of, kernel_for


def random_like(lm: LanguageModel, seed: int) -> LanguageModel:
    """Return a randomly initialised model of the shape, family and tokenizer of ``lm``.

    Raises:
        WorkbenchError: for a model whose weights are on a server.
    """
    require_weights_here(lm, "a randomly initialised model")
    config = copy.deepcopy(lm.base().config)
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = class_of(config).from_config(
            config, dtype=torch.float32, attn_implementation=kernel_for(config, "sdpa")
        )
    model = model.to(lm.device).eval().requires_grad_(False)
    return replace(
        lm,
        model=model,
        name=f"{lm.name}, randomly initialised",
        revision=f"random-{seed}-{lm.revision}",
        invocation_length=None,
    )
