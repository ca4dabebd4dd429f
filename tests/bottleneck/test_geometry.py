"""A probe's direction that is planted at an angle to the readout is found there, and one that is
random is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.bottleneck.directions import newton_probes
from workbench.bottleneck.geometry import (
    AFTER_NORM,
    CONFIDENCE,
    COVARIANCE,
    IN_HEAD,
    IN_READOUT,
    ISOTROPIC,
    PARTICIPATION,
    PROBE,
    RANK,
    SHUFFLED,
    WITH_CONFIDENCE,
    WITH_CONTRAST,
    LayerDirections,
    Quantity,
    measure_layer,
)
from workbench.bottleneck.norm_survival import NormDerivative

RNG = np.random.default_rng(0)
WIDTH, TOKENS, TRAINED = 64, 5, 240
AXES = np.linalg.qr(RNG.standard_normal((WIDTH, WIDTH)))[0].T
CORRECT = RNG.random(TRAINED) < 0.5
HEAD = np.vstack([-AXES[: TOKENS - 1].sum(axis=0), AXES[: TOKENS - 1]]) + AXES[20]
"""Rows whose differences span the first axes; what they share moves no difference."""
CONTRAST = np.array([-1.0, 1, 0, 0, 0])


def white(count: int) -> np.ndarray:
    """States whose covariance is the identity, so that filters are their own patterns."""
    drawn = RNG.standard_normal((count, WIDTH))
    return np.sqrt(count) * np.linalg.qr(drawn - drawn.mean(axis=0))[0]


TRAINING, HELD_OUT = white(TRAINED), white(100)


def layer_of(probe: np.ndarray, scale: np.ndarray | float = 1.0) -> LayerDirections:
    """States with standard deviations ``scale`` along the axes."""
    training, held_out = ((states @ AXES.T * scale) @ AXES for states in (TRAINING, HELD_OUT))
    radial = held_out / np.linalg.norm(held_out, axis=1, keepdims=True)
    ones = np.ones(100)
    return LayerDirections(
        training=training,
        held_out=held_out,
        correct=CORRECT,
        domain=np.zeros(TRAINED),
        probe=probe,
        inverse_penalty=1e-3,
        confidence=AXES[1],
        readouts={"planted": HEAD},
        contrast=CONTRAST,
        norm=NormDerivative(np.ones(WIDTH), False, radial, ones, ones),
        head=HEAD,
    )


def find(found: list[Quantity], name: str, direction: str = PROBE, **more: str) -> Quantity:
    (one,) = [
        each
        for each in found
        if each.name == name
        and each.direction == direction
        and all(getattr(each, key) == value for key, value in more.items())
    ]
    return one


@pytest.mark.parametrize("angle", [0, 60, 90])
def test_a_planted_angle_to_the_readout_is_found(angle: int) -> None:
    turn = np.deg2rad(angle)
    probe = np.cos(turn) * AXES[0] + np.sin(turn) * AXES[30]
    found = measure_layer(layer_of(3 * probe), 200, 0)
    share = np.cos(turn) ** 2
    for space in ("raw", "covariance"):
        inside = find(found, IN_READOUT, form="filter", space=space)
        assert inside.value == pytest.approx(share, abs=1e-9)
        assert (inside.value > inside.random[ISOTROPIC].high) == (angle < 90)
    assert find(found, IN_READOUT, form="pattern").value == pytest.approx(share)
    assert find(found, IN_HEAD, form="pattern").value == pytest.approx(share, abs=0.03)
    assert find(found, AFTER_NORM, form="pattern").value > 0.9
    # The contrast is 2 along the first axis and 1 along each of the other three.
    wanted = np.cos(turn) * 2 / np.sqrt(7)
    contrast = find(found, WITH_CONTRAST, space="raw")
    assert contrast.value == pytest.approx(wanted)
    assert find(found, WITH_CONTRAST, space="covariance").value == pytest.approx(wanted)
    assert (contrast.random[ISOTROPIC].p < 0.05) == (angle < 90)


def test_a_common_part_of_the_rows_is_no_readout() -> None:
    found = measure_layer(layer_of(AXES[20]), 50, 0)
    assert find(found, IN_READOUT, form="filter", space="raw").value == pytest.approx(0)


def test_stated_confidence_is_compared_like_the_probe() -> None:
    found = measure_layer(layer_of(AXES[1]), 50, 0)
    assert find(found, WITH_CONFIDENCE, space="raw").value == pytest.approx(1)
    assert find(found, WITH_CONFIDENCE, space="covariance").value == pytest.approx(1)
    own = find(found, IN_READOUT, CONFIDENCE, space="raw")
    assert own.value == pytest.approx(1)
    assert set(own.random) == {ISOTROPIC, COVARIANCE}


def test_the_rank_is_of_row_differences() -> None:
    found = measure_layer(layer_of(AXES[0]), 50, 0)
    squares = np.square(np.linalg.svd(HEAD - HEAD.mean(axis=0), compute_uv=False))
    shares = squares[squares > 1e-12] / squares.sum()
    rank = find(found, RANK, "", space="raw")
    assert rank.value == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert 1 <= find(found, PARTICIPATION, "", space="covariance").value <= rank.value
    assert rank.random[ISOTROPIC].high < TOKENS - 1


def test_what_states_vary_along_makes_a_low_rank_of_any_readout() -> None:
    found = measure_layer(layer_of(AXES[0], np.r_[1, np.full(WIDTH - 1, 0.01)]), 50, 0)
    rank = find(found, RANK, "", space="covariance")
    assert rank.value < 1.2
    assert rank.random[ISOTROPIC].high < 1.3


def test_a_probe_of_shuffled_grades_lies_among_its_own_kind() -> None:
    outside = []
    layer = layer_of(AXES[0], np.geomspace(3, 0.1, WIDTH))
    for trial in range(40):
        labels = np.random.default_rng([9, trial]).permutation(CORRECT)
        (probe,) = newton_probes(layer.training, labels[None].astype(float), 1e-3)
        found = measure_layer(replace(layer, correct=labels, probe=probe), 60, trial)
        outside.append(
            [
                find(found, name, space="covariance", form="filter").random[SHUFFLED].p <= 0.05
                for name in (WITH_CONFIDENCE, WITH_CONTRAST, IN_READOUT)
            ]
        )
    assert (np.mean(outside, axis=0) <= 0.15).all()


def test_a_rotation_of_the_space_changes_no_number() -> None:
    probe = AXES[0] + AXES[30]
    turn = np.linalg.qr(np.random.default_rng(5).standard_normal((WIDTH, WIDTH)))[0]
    straight = layer_of(probe)
    turned = replace(
        straight,
        training=straight.training @ turn,
        held_out=straight.held_out @ turn,
        probe=probe @ turn,
        confidence=straight.confidence @ turn,
        readouts={"planted": HEAD @ turn},
        norm=replace(straight.norm, radial=straight.norm.radial @ turn),
        head=HEAD @ turn,
    )
    pairs = zip(measure_layer(straight, 20, 0), measure_layer(turned, 20, 0), strict=True)
    for one, other in pairs:
        assert one.value == pytest.approx(other.value, abs=1e-9), one
