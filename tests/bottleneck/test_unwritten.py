import numpy as np

from workbench.bottleneck.rank_one_map import Strength, best_strength
from workbench.bottleneck.unwritten import score_unwritten

NAN = float("nan")


def test_a_text_without_a_number_counts_as_the_usual_one() -> None:
    np.testing.assert_array_equal(
        score_unwritten(np.array([0.2, NAN, 0.9, 0.4])), [0.2, 0.4, 0.9, 0.4]
    )
    np.testing.assert_array_equal(score_unwritten(np.array([NAN, NAN])), [0, 0])


def test_a_map_that_silences_what_it_gets_wrong_is_not_the_best() -> None:
    correct = np.array([True, True, True, False, False, False] * 4)
    domain = np.full(24, "a")
    honest = np.where(correct, 0.8, 0.4) + np.tile([0.0, 0.1, -0.5, 0.0, 0.1, 0.0], 4)
    # Of six answers one of each kind is written, and those two are told apart.
    silent = np.where(np.tile([0, 1, 0, 0, 0, 1], 4) == 1, honest, NAN)
    mute, open_ = Strength(1, 2.0, 0.0), Strength(1, 4.0, 0.0)
    chosen, _ = best_strength({mute: silent, open_: honest + 0.3 * correct}, correct, domain)
    assert chosen == open_
