"""Multiply into a dictionary's weights what its release keeps apart from them.

Folding leaves reconstructions as they are. It changes the unit of activations where a rule looks at
them in another: by the lengths of decoder rows, activations are those of rows of length 1.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.dictionary import Dictionary
from workbench.features.layouts import Weight
from workbench.features.trained_as import TrainedAs


def fold_scales(
    parts: dict[Weight, Tensor], trained: TrainedAs, input_scale: float | None, file: Path
) -> dict[Weight, Tensor]:
    """Return the weights of plain states and activations, with every factor in them.

    Args:
        input_scale: the number that states were multiplied by, where the files do not hold it.

    Raises:
        WorkbenchError: for such a number that is missing, not needed or not positive.
    """
    scale = parts.pop("scale", None)
    if scale is not None:
        parts["decoder"] = parts["decoder"] * scale[:, None]
    if trained.needs_input_scale != (input_scale is not None):
        raise WorkbenchError(
            f"{file.name} was trained on states multiplied by one number that it does not hold; "
            "give it as input_scale=."
            if trained.needs_input_scale
            else f"{file.name} was trained on states as they are; leave input_scale out."
        )
    if input_scale is not None:
        if not 0 < input_scale < float("inf"):
            raise WorkbenchError(f"input_scale is a positive number, not {input_scale}.")
        parts["encoder"] = parts["encoder"] * input_scale
        parts["decoder"] = parts["decoder"] / input_scale
        parts["decoder_bias"] = parts["decoder_bias"] / input_scale
    if trained.dataset_scales is not None:
        given, made = trained.dataset_scales
        parts["encoder_bias"] = parts["encoder_bias"] / given
        parts["decoder"] = parts["decoder"] * (given / made)
        parts["decoder_bias"] = parts["decoder_bias"] / made
    if trained.by_decoder_norm:
        lengths = parts["decoder"].float().norm(dim=1).to(parts["decoder"].dtype)
        parts["encoder"] = parts["encoder"] * lengths[:, None]
        parts["encoder_bias"] = parts["encoder_bias"] * lengths
        parts["decoder"] = parts["decoder"] / lengths.clamp_min(1e-12)[:, None]
    return parts


def with_gain(found: Dictionary, trained: TrainedAs, gain: Tensor | None, told: bool) -> Dictionary:
    """Return the dictionary so that it reads what the MLP is given, gain and all.

    Args:
        gain: [read width] what the norm before the MLP multiplies by.
        told: whether a person has said what is read.

    Raises:
        WorkbenchError: for a gain that is missing, of another shape, or zero somewhere.
    """
    needed = trained.read is not None and trained.read.without_gain and not told
    if gain is None:
        if needed:
            raise WorkbenchError(
                f"{found.name} reads the MLP's input before the gain of its norm; give the norm's "
                "gain as gain= (for Gemma 1 + weight)."
            )
        return found
    if [*gain.shape] != [found.source_width] or not bool((gain != 0).all()):
        raise WorkbenchError(
            f"gain= has to be [{found.source_width}] numbers other than zero, got {[*gain.shape]}."
        )
    by = gain.detach().to(found.encoder.device, torch.float32)
    parts: dict[str, Any] = {
        name: part.float().div(by).to(found.encoder.dtype)
        for name in ("encoder", "skip")
        if (part := getattr(found, name)) is not None
    }
    centre = None if found.centre is None else found.centre * by
    return replace(found, centre=centre, **parts)
