"""Correct what TRL's trainers get wrong on padded prompts, or do not restore afterwards. Nothing
here changes what they compute for a row that is not padded.

Positions: TRL pads prompts on the left and passes no positions when it scores them, so a row in a
batch with a longer one would get other positions than alone, and than when it was sampled. Logits:
sampling from NaN ends in an error about probabilities, or kills a process on a GPU; here it ends in
the error that names the cause. The model: TRL puts another forward into the base model and changes
its padding token, and both would stay after the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def positions_from_mask(model: nn.Module) -> Iterator[None]:
    """Let a pass of ``model`` without positions and without a cache count them over the mask, from
    0, inside the block.
    """

    def counted(
        module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        mask = given.get("attention_mask")
        told = given.get("position_ids") is not None or given.get("past_key_values") is not None
        if told or not isinstance(mask, Tensor) or mask.dim() != 2:
            return args, given
        return args, {**given, "position_ids": (mask.long().cumsum(dim=-1) - 1).clamp(min=0)}

    hook = model.register_forward_pre_hook(counted, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def numbers_only(head: nn.Module, error: Callable[[], Exception]) -> Iterator[None]:
    """Raise ``error`` inside the block for logits of ``head`` from which nothing can be sampled."""

    def checked(module: nn.Module, args: tuple[Any, ...], logits: Tensor) -> None:
        # Minus infinity forbids a token and is sampled from without harm.
        if bool((logits.isnan() | logits.isposinf()).any()):
            raise error()

    hook = head.register_forward_hook(checked)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def left_as_found(model: Any) -> Iterator[None]:
    """Restore the attributes, the mode and the padding token of the transformers ``model`` after
    the block.
    """
    attributes, training = dict(vars(model)), model.training
    padded = [
        (config, config.pad_token_id)
        for config in (model.config.get_text_config(), model.generation_config)
    ]
    try:
        yield
    finally:
        for name in vars(model).keys() - attributes.keys():
            delattr(model, name)
        vars(model).update(attributes)
        for config, token in padded:
            config.pad_token_id = token
        model.train(training)
