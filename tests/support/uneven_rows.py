"""Prompts of uneven lengths, a tree of tokens after them, and tiny families' attention windows that
are shorter than the longest prompt.
"""

from __future__ import annotations

from typing import Any

import torch

from workbench.trace import TokenTree

ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]
LENGTHS = torch.tensor([10, 4, 7])
TREE = TokenTree((40, 41, 42), (-1, 0, -1))
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 5}
OVERRIDES: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 5},
    "gemma2": MIXED,
    "gemma3_text": MIXED,
    "gpt_oss": MIXED,
    "cohere2": {**MIXED, "logit_scale": 1.0},
    "granite": {"residual_multiplier": 0.3},
}


def some_logits(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, :50].float()
