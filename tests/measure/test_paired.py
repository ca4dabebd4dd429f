import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import auroc2, auroc2_difference, bootstrap, brier, ece, paired_metrics

RNG = np.random.default_rng(9)
N = 150
CORRECT = RNG.random(N) < 0.5
OTHER = np.where(RNG.random(N) < 0.8, CORRECT, ~CORRECT)
A = np.round(np.clip(CORRECT * 0.2 + RNG.random(N) * 0.8, 0, 1), 1)
B = np.round(RNG.random(N), 1)


def test_differences_are_those_of_the_generic_bootstrap() -> None:
    found = paired_metrics(A, B, CORRECT, correct_b=OTHER, seed=4, resamples=100)
    for name, measure in (("auroc2", auroc2), ("brier", brier)):
        expected = bootstrap(
            lambda a, b, y, z, measure=measure: measure(a, y) - measure(b, z),
            A,
            B,
            CORRECT,
            OTHER,
            seed=4,
            resamples=100,
        )
        mine = found.difference[name]
        assert np.allclose(
            [mine.value, mine.low, mine.high],
            [expected.value, expected.low, expected.high],
            atol=1e-9,
        )
        assert found.first[name].value == pytest.approx(measure(A, CORRECT))
        assert found.second[name].value == pytest.approx(measure(B, OTHER))
    seen = found.difference["ece"]
    assert seen.value == pytest.approx(ece(A, CORRECT) - ece(B, OTHER))
    assert np.isnan(seen.low)
    assert np.isnan(found.difference["smooth_ece"].low)
    assert found.delong.difference.value == pytest.approx(found.difference["auroc2"].value)
    assert found.difference["auroc2"] == auroc2_difference(
        A, B, CORRECT, None, correct_b=OTHER, seed=4, resamples=100
    )


def test_only_questions_parsed_in_both() -> None:
    a, b = A.copy(), B.copy()
    a[0], b[1] = np.nan, np.nan
    found = paired_metrics(a, b, CORRECT, seed=0, resamples=10)
    assert found.n == N - 2
    assert found.first["accuracy"].value == CORRECT[2:].mean()


def test_a_readout_does_not_differ_from_itself() -> None:
    found = paired_metrics(A, A, CORRECT, seed=0, resamples=30)
    for name, each in found.difference.items():
        assert each.value == 0
        if name in ("accuracy", "auroc2", "brier", "log_score", "aurc"):
            assert each.low == each.high == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="align them"):
        paired_metrics([0.1], [0.1, 0.2], [1], correct_b=[1, 0], seed=0)
    with pytest.raises(WorkbenchError, match="nothing to compare"):
        paired_metrics([np.nan], [0.1], [1], seed=0)
