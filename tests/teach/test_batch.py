from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.teach.batch import Targets, batch_targets
from workbench.teach.examples import Example, TokenTarget
from workbench.trace.token_tree import TokenTree


def test_a_loss_by_hand() -> None:
    """Row 1: half a on token 0, quarter on 2, quarter ends. Row 2: token 1 for sure at half
    weight; its second place is padding.
    """
    logits = torch.tensor(
        [[[0.5, 0.2, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]], [[0.1, 0.7, 0.1, 0.1], [0.25] * 4]]
    ).log()
    examples = [
        Example(
            (9,),
            TokenTree((0,), (-1,)),
            (TokenTarget(1.0, (0, 2), (0.5, 0.25), 0.25), TokenTarget(0.5, (3,), (1.0,))),
        ),
        Example((9, 9), TokenTree(), (TokenTarget(0.5, (1,), (1.0,)),)),
    ]
    targets = batch_targets(examples, torch.device("cpu"))
    first = -(0.5 * np.log(0.5) + 0.25 * np.log(0.2) + 0.25 * np.log(0.3)) - 0.5 * np.log(0.4)
    assert float(targets.loss(logits)) == pytest.approx((first - 0.5 * np.log(0.7)) / 2, rel=1e-6)
    assert targets.alphabet.tolist() == [0, 1, 2, 3]
    assert targets.weights.tolist() == [[1.0, 0.5], [0.5, 0.0]]
    assert targets.follows[0].tolist() == [[True, False, True, False], [False, False, False, True]]
    assert not targets.follows[1, 1].any()


def test_a_number_that_surely_goes_on_costs_a_finite_loss() -> None:
    one = torch.ones(1, 1)
    targets = Targets(
        torch.tensor([0]), torch.zeros(1, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), one, one
    )
    logits = torch.tensor([[[60.0, -60.0]]], requires_grad=True)
    loss = targets.loss(logits)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(1e-6), rel=0.02)
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
