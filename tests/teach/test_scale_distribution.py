from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.elicit.trie import build_trie, child_log_probabilities, distribution
from workbench.teach.scale_distribution import scale_log_probabilities, scale_paths

TRIE = build_trie([(0,), (1,), (1, 0)], (0, 1, 10))


def logits_of(*rows: list[float]) -> torch.Tensor:
    """[1, nodes, 3] of next-token probabilities."""
    return torch.tensor([rows]).log()


def test_probabilities_by_hand() -> None:
    """Token 0 ends "0"; token 1 begins "1" and, followed by 0, "10"; the rest of the mass is no
    number.
    """
    found = scale_log_probabilities(
        scale_paths(TRIE), logits_of([0.5, 0.3, 0.2], [0.25, 0.5, 0.25])
    ).exp()
    assert found[0].tolist() == pytest.approx([0.5, 0.3 * 0.75, 0.3 * 0.25, 0.2], rel=1e-5)


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
def test_the_same_as_what_is_read_without_gradients(
    make_tokenizer: Callable[[str], Any], kind: str
) -> None:
    trie = scale_tokens(make_tokenizer(kind), FORMATS["percent"]).trie
    logits = 3 * torch.randn(4, len(trie.inner), 384, generator=torch.Generator().manual_seed(1))
    expected = distribution(trie, child_log_probabilities(trie, logits).double().numpy())
    found = scale_log_probabilities(scale_paths(trie), logits).exp().numpy()
    assert found[:, :-1] == pytest.approx(expected, abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_a_number_that_surely_goes_on_has_finite_values_and_gradients() -> None:
    logits = torch.tensor([[[60.0, 0.0, 0.0], [60.0, 0.0, 0.0]]], requires_grad=True)
    found = scale_log_probabilities(scale_paths(TRIE), logits)
    found.sum().backward()
    assert bool(torch.isfinite(found).all())
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
