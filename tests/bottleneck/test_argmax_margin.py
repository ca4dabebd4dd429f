from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.argmax_margin import argmax_margin
from workbench.measure import Bootstrap

DRAW = Bootstrap(200, 0)


def test_margins_by_hand() -> None:
    p = np.array([[0.1, 0.3, 0.6], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    correct = np.array([True, False, True, False])
    found = argmax_margin(p, correct, DRAW)
    margin = np.log([2, 3, 2, 8])
    assert found.right.value == pytest.approx(np.log(2))
    assert found.wrong.value == pytest.approx(margin[[1, 3]].mean())
    assert found.difference.value == pytest.approx(np.log(2) - margin[[1, 3]].mean())
    assert found.auroc2.value == 0
    assert found.commonest.value == 0.75
    log = np.log(p)
    pairs = [(2, 1), (2, 0), (0, 1), (2, 0)]
    moved = np.array([(log[:, a] - log[:, b]).std() for a, b in pairs])
    assert found.moved == pytest.approx(moved.mean())
    assert found.can_flip.value == pytest.approx((margin < moved).mean())


def test_a_pinned_argmax_cannot_flip() -> None:
    logits = np.random.default_rng(0).normal(0, 0.3, (200, 10))
    logits[:, -1] += 8
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = argmax_margin(p, np.arange(200) % 2 == 0, DRAW)
    assert found.can_flip.value == 0
    assert found.commonest.value == 1
