from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.consistency import consistency, shares
from workbench.models import LanguageModel


def test_shares_by_hand(
    tiny_lm: LanguageModel, make_asked: Callable[[LanguageModel], list[Asked]]
) -> None:
    """Greedy answers are "Paris" and "391"; the sequence drawn twice is weighed once."""
    samples = pd.DataFrame(
        {
            "row": [0] * 4 + [1] * 4,
            "text": [
                "Paris",
                "paris.",
                "Lyon",
                "Paris, France",
                "400",
                "390 + 1 = 391",
                "400.",
                "12",
            ],
            "path": ["1", "1", "2", "3", "4", "5", "6", "7"],
            "log_likelihood": np.log([0.5, 0.5, 0.2, 0.1, 0.2, 0.1, 0.05, 0.05]),
        }
    )
    found = consistency(samples, make_asked(tiny_lm)[:2])
    assert found["agreement"].tolist() == [0.75, 0.25]
    assert found["weighted_agreement"].tolist() == pytest.approx([0.6 / 0.8, 0.1 / 0.4])
    assert found["modal_share"].tolist() == [0.5, 0.5]


def test_shares_of_tiny_likelihoods_do_not_underflow() -> None:
    assert shares(np.asarray([-2000.0, -2000.0 + np.log(3)])).tolist() == pytest.approx(
        [0.25, 0.75]
    )
