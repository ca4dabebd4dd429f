from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.baselines.semantic_entropy import entropy, semantic_entropies


def test_entropies_by_hand() -> None:
    """First question: groups of 2, 1 and 1 samples; its first sequence was drawn twice. Second:
    one group.
    """
    samples = pd.DataFrame(
        {
            "row": [0, 0, 0, 0, 1, 1],
            "path": ["1", "1", "2", "3", "4", "5"],
            "log_likelihood": np.log([0.4, 0.4, 0.1, 0.3, 0.2, 0.6]),
        }
    )
    groups = pd.DataFrame({"row": samples["row"], "group": [0, 0, 1, 2, 0, 0]})
    found = semantic_entropies(samples, groups)
    assert found["discrete"].tolist() == pytest.approx([1.5 * np.log(2), 0])
    shares = np.asarray([0.5, 0.125, 0.375])
    assert found["weighted"].tolist() == pytest.approx([-(shares * np.log(shares)).sum(), 0])


def test_entropy_of_equal_shares_is_the_logarithm_of_their_number() -> None:
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(np.log(8))
    assert entropy(np.asarray([1.0, 0.0])) == 0
