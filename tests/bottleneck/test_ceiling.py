"""The ceiling's values and margin, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import trie_of
from workbench.bottleneck.ceiling import (
    Ceiling,
    ceiling_margin,
    contenders,
    find_ceiling,
    margin_of,
)
from workbench.elicit.trie import cut_trie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

SCALE = (0.0, 50.0, 90.0, 100.0)


def answers(*firsts: int) -> np.ndarray:
    """Distributions whose most probable columns are given: 0.4 there, 0.2 elsewhere."""
    return 0.2 + 0.2 * np.eye(4)[list(firsts)]


@pytest.mark.parametrize(
    ("firsts", "written", "share"),
    [
        ([3] * 19 + [0], (100.0,), 0.95),
        ([3] * 12 + [2] * 7 + [0], (100.0, 90.0), 0.95),
        ([3] * 5 + [2] * 4 + [1] * 4 + [0] * 7, (0.0, 100.0, 50.0), 0.8),
        ([3] * 5, (100.0,), 1.0),
    ],
)
def test_the_commonest_values_until_nearly_all_are_covered(
    firsts: list[int], written: tuple[float, ...], share: float
) -> None:
    found = find_ceiling(answers(*firsts), SCALE)
    assert found.written == written
    assert found.share == pytest.approx(share)


def test_margin_by_hand() -> None:
    ceiling = Ceiling(SCALE, (3, 2), 1.0)
    p = np.array([[0.1, 0.2, 0.3, 0.4], [0.6, 0.1, 0.2, 0.1]])
    np.testing.assert_allclose(margin_of(p, ceiling), np.log([2, 1 / 3]))
    assert contenders(p, ceiling) == (0.0, 50.0, 90.0, 100.0)
    assert contenders(p[:1], ceiling) == (50.0, 90.0, 100.0)


@pytest.mark.parametrize("columns", [(), (0, 1, 2, 3), (4,)])
def test_a_ceiling_leaves_other_values(columns: tuple[int, ...]) -> None:
    with pytest.raises(WorkbenchError, match="leaves others"):
        Ceiling(SCALE, columns, 1.0)


def test_the_metric_is_the_margin_on_the_whole_trie_and_on_a_cut_one(
    tiny_lm: LanguageModel,
) -> None:
    trie = trie_of(tiny_lm)
    ceiling = Ceiling(trie.values, (trie.values.index(99), trie.values.index(100)), 1.0)
    logits = torch.randn(4, len(trie.inner), 384, generator=torch.Generator().manual_seed(1))
    p = trie.distribution(trie.readout(logits))
    wanted = margin_of(p, ceiling)
    metric = ceiling_margin(trie, ceiling)
    np.testing.assert_allclose(metric.of_reduced(metric.readout(logits)), wanted, rtol=1e-5)
    small = cut_trie(trie, contenders(p, ceiling))
    assert len(small.inner) < len(trie.inner)
    kept = [trie.inner.index(path) for path in small.inner]
    metric = ceiling_margin(small, ceiling)
    np.testing.assert_allclose(
        metric.of_reduced(metric.readout(logits[:, kept])), wanted, rtol=1e-5
    )
    with pytest.raises(WorkbenchError, match="lacks a value of the ceiling"):
        ceiling_margin(cut_trie(trie, [0]), ceiling)
