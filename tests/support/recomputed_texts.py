"""Write a text under patches by recomputing all of it at every step, with plain torch hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.patch.text_branches import TextBranch
from workbench.trace import Patch

Choose = Callable[[Tensor, int], int]


def recomputed(
    lm: LanguageModel,
    prompt: Sequence[int],
    branch: TextBranch,
    row: int,
    limit: int,
    stop: Sequence[int],
    choose: Choose | None = None,
) -> tuple[list[int], list[float]]:
    """The tokens and their log-probabilities; patches of resid_post and mlp_out that replace, add
    or take a subspace out.
    """
    patches = [(patch, False) for patch in branch.once] + [(patch, True) for patch in branch.held]
    handles = []
    for patch, held in patches:
        module: Any = lm.layers()[patch.site.layer]
        scale = 1.0
        if patch.site.component == "mlp_out":
            module = module.get_submodule(lm.architecture.mlp_added)
            scale = lm.architecture.added_scale
        handles.append(module.register_forward_hook(_hook(patch, held, row, scale)))
    text, scores = list(prompt), []
    for step in range(limit):
        logits = lm.model(torch.tensor([text])).logits[0, -1].float()
        token = int(logits.argmax()) if choose is None else choose(logits, step)
        text.append(token)
        scores.append(float(logits.log_softmax(-1)[token]))
        if token in stop:
            break
    for handle in handles:
        handle.remove()
    return text[len(prompt) :], scores


def _hook(patch: Patch, held: bool, row: int, scale: float) -> Callable[..., Any]:
    start, value = int(patch.positions[row]), patch.value[row] / scale

    def change(module: Any, args: Any, output: Any) -> Any:
        hidden = (output if torch.is_tensor(output) else output[0]).clone()
        for at in range(start, hidden.shape[1] if held else min(start + 1, hidden.shape[1])):
            if patch.mode == "add":
                hidden[0, at] += value
            elif patch.mode == "replace":
                hidden[0, at] = value
            else:
                assert patch.mode == "without"
                assert patch.subspace is not None
                basis = patch.subspace.basis
                hidden[0, at] -= basis @ (basis.T @ hidden[0, at])
        return hidden if torch.is_tensor(output) else (hidden, *output[1:])

    return change


def inverse_draw(uniforms: Sequence[float], temperature: float) -> Choose:
    """The first token whose distribution function exceeds a uniform number, by a loop."""

    def choose(logits: Tensor, step: int) -> int:
        scaled = logits.double().numpy() / temperature
        shares = np.exp(scaled - scaled.max())
        below = 0.0
        for token, share in enumerate(shares / shares.sum()):
            below += share
            if below > uniforms[step]:
                return token
        raise AssertionError

    return choose
