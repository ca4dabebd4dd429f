from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.readouts import ARM, READOUTS, N
from workbench.experiments.recipes.results import PARTS, of_parts
from workbench.measure import Bootstrap, auroc2, flat_summary

DRAW = Bootstrap(100, 0)


def test_both_parts_have_their_questions_and_measures_and_what_is_silent_has_no_text() -> None:
    r = replace(READOUTS, stated={**READOUTS.stated, ARM: np.full(N, np.nan)})
    found = flat_summary(of_parts(r, ["b"], [ARM], DRAW))
    outside = r.domain == "b"
    for name, rows in zip(PARTS, (~outside, outside), strict=True):
        assert found[f"{name}.questions"] == rows.sum()
        assert found[f"{name}.accuracy"] == pytest.approx(r.correct[rows].mean())
        assert found[f"{name}.auroc2.expected.arm"] == pytest.approx(
            auroc2(r.expected[ARM][rows], r.correct[rows])
        )
        assert f"{name}.ece.stated.before" in found
    assert not [key for key in found if "stated" in key and ".arm" in key]
    assert of_parts(r, [], [ARM], DRAW) == {}
