"""A tiny model in which one head or one MLP writes a constant onto one number's row, at one token
alone, and every other part writes next to nothing.
"""

from __future__ import annotations

import torch

from tests.support.tiny_models import build_tiny
from workbench.models import LanguageModel
from workbench.trace.sites import Site

LAST = 33
"""The token at which the writer writes: the last one of every prompt below."""
PROMPTS = (
    (5, 9, 80, LAST),
    (7, 100, 45, 6, 200, LAST),
    (14, 3, 70, LAST),
    (91, 92, 93, 94, 95, LAST),
    (120, 61, 62, LAST),
    (8, 44, 71, 150, LAST),
)
NUMBER = 90


def planted(kind: str, others: float = 0.0) -> tuple[LanguageModel, Site]:
    """Return the model and its writer, of ``kind`` "mlp_out" or "head_out"; what all others write
    is scaled by ``others``. The writer reads what marks LAST alone, and every number is one token.
    """
    lm = build_tiny("llama", "whole_numbers")
    layers, width = lm.layers(), lm.width
    inner, outer = torch.zeros(width), torch.zeros(width)
    row = lm.tokenizer(str(NUMBER), add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        embedding = lm.base().get_input_embeddings().weight
        inner[0] = outer[1] = 1.0
        embedding[:, 0] = 0.0
        embedding[LAST, 0] = 2.0
        embedding[:, 1] = 0.0
        lm.head().weight[:, :2] = 0.0
        lm.head().weight[row, 1] = 2.0
        for layer in layers:
            layer.self_attn.o_proj.weight.mul_(others)
            layer.mlp.down_proj.weight.mul_(others)
        if kind == "mlp_out":
            site = Site(2, "mlp_out")
            mlp = layers[2].mlp
            mlp.gate_proj.weight[0], mlp.up_proj.weight[0] = inner, inner
            mlp.down_proj.weight[:, 0] = 0.1 * outer
        else:
            site = Site(1, "head_out", 3)
            attention, size = layers[1].self_attn, lm.head_size
            attention.q_proj.weight.zero_()  # so that it looks at all tokens alike
            attention.v_proj.weight[size] = inner
            attention.o_proj.weight[:, 3 * size] = outer
    return lm, site
