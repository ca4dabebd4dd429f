import numpy as np
import pytest

from workbench.bottleneck.random_directions import directions_of_equal_variance
from workbench.errors import WorkbenchError

RNG = np.random.default_rng(4)
AXES = np.linalg.qr(RNG.standard_normal((24, 24)))[0]
SCALES = np.geomspace(0.05, 20, 24)
STATES = RNG.standard_normal((300, 24)) * SCALES @ AXES.T + 3


@pytest.mark.parametrize("axis", [2, 12, 22])
def test_states_vary_as_much_along_the_draws_as_along_the_direction(axis: int) -> None:
    direction = 5 * AXES[:, axis]
    drawn = directions_of_equal_variance(STATES, direction, 6, np.random.default_rng(0))
    wanted = np.var(STATES @ AXES[:, axis])
    np.testing.assert_allclose(np.var(STATES @ drawn.T, axis=0), wanted, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    # They are not the direction itself, nor each other.
    together = np.vstack([AXES[:, axis], drawn])
    assert np.abs(together @ together.T - np.eye(7)).max() < 0.999


def test_draws_of_wide_states_reach_beyond_the_questions_that_are_there() -> None:
    few = STATES[:8]
    drawn = directions_of_equal_variance(few, AXES[:, 12], 20, np.random.default_rng(1))
    wanted = np.var(few @ AXES[:, 12])
    np.testing.assert_allclose(np.var(few @ drawn.T, axis=0), wanted, rtol=1e-6)
    centred = few - few.mean(axis=0)
    span = np.linalg.svd(centred, full_matrices=False)[2][:7]
    outside = drawn - drawn @ span.T @ span
    assert (np.linalg.norm(outside, axis=1) > 0.01).all()


def test_no_direction_and_one_question_are_refused() -> None:
    rng = np.random.default_rng(0)
    for states, direction in ((STATES, np.zeros(24)), (STATES[:1], AXES[0])):
        with pytest.raises(WorkbenchError, match="need a direction that is not zero"):
            directions_of_equal_variance(states, direction, 1, rng)
