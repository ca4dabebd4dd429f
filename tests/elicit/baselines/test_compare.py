from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.baselines.compare import compare, compared_table
from workbench.measure import auroc2, auroc2_within


def test_comparison_by_hand() -> None:
    """Rows come shuffled; one score of the second baseline could not be read."""
    correct, domain = [True, False, True, False, True, False], ["a", "a", "a", "b", "b", "b"]
    first, second = [0.9, 0.1, 0.3, 0.4, 0.8, 0.8], [1.0, 0.2, np.nan, 0.1, 0.0, 0.4]
    table = pd.DataFrame(
        {
            "row": [*range(6), *range(6)],
            "baseline": ["likelihood"] * 6 + ["stated"] * 6,
            "score": first + second,
            "tokens": [10] * 6 + [1, 2, 3, 4, 5, 6],
        }
    ).sample(frac=1, random_state=0)
    found = {
        one.baseline.name: one for one in compare(table, correct, domain, resamples=50, seed=0)
    }
    assert (
        found["likelihood"].pooled.value
        == pytest.approx(auroc2(first, correct))
        == pytest.approx(6.5 / 9)
    )
    assert found["likelihood"].within.value == pytest.approx(auroc2_within(first, correct, domain))
    assert found["stated"].read == pytest.approx(5 / 6)
    assert found["stated"].pooled.n == 5
    assert found["stated"].tokens == 3.5
    lines = compared_table(list(found.values())).set_index("baseline")
    assert lines.loc["likelihood", "auroc2"] == found["likelihood"].pooled.value
    assert lines.loc["stated", "tokens"] == 3.5
