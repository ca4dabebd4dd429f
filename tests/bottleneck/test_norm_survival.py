"""The closed forms are those of the norm's own derivative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.bottleneck.directions import span_of
from workbench.bottleneck.norm_survival import norm_derivative
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]
RNG = np.random.default_rng(0)
STATES = torch.as_tensor(RNG.standard_normal((6, 32)) * 2 + 0.4, dtype=torch.float32)
VECTORS = RNG.standard_normal((4, 32))


def with_gain(lm: LanguageModel) -> LanguageModel:
    with torch.no_grad():
        for weight in lm.final_norm().parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return lm


def by_autograd(lm: LanguageModel, vectors: np.ndarray) -> np.ndarray:
    """[vectors, states, width]"""
    norm = lm.final_norm()
    matrices = [
        torch.autograd.functional.jacobian(lambda x: norm(x[None])[0], state).double().numpy()
        for state in STATES
    ]
    return np.einsum("sij,mj->msi", np.stack(matrices), vectors)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "cohere2"])
def test_displacements_arrive_as_autograd_says(make_tiny: MakeTiny, family: str) -> None:
    lm = with_gain(make_tiny(family))
    found = norm_derivative(lm, STATES)
    assert found.centred == (family in ("gpt2", "cohere2"))
    arrived = by_autograd(lm, VECTORS)
    np.testing.assert_allclose(found.apply(VECTORS), arrived, atol=2e-5)
    basis = span_of(RNG.standard_normal((3, 32)))
    inside = np.square(arrived @ basis.T).sum(axis=-1) / np.square(arrived).sum(axis=-1)
    np.testing.assert_allclose(found.head_shares(VECTORS, basis), inside.mean(axis=1), rtol=1e-4)
    before_gain = arrived * found.scale[:, None] / found.gain
    shares = np.square(before_gain).sum(axis=-1) / np.square(VECTORS).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found.norm_shares(VECTORS), shares.mean(axis=1), rtol=1e-4)


def test_what_points_along_the_state_or_its_mean_is_lost(make_tiny: MakeTiny) -> None:
    one = STATES[:1]
    along = one.double().numpy()
    for family in ("llama", "gpt2"):
        found = norm_derivative(with_gain(make_tiny(family)), one)
        assert found.norm_shares(along)[0] == pytest.approx(0, abs=1e-4)
        flat = found.norm_shares(np.ones((1, 32)))[0]
        assert flat == pytest.approx(0, abs=1e-6) if family == "gpt2" else flat > 0.5
        apart = VECTORS[:1] - VECTORS[:1].mean()
        around = along - along.mean() if family == "gpt2" else along
        apart = apart - (apart @ around.T) / (around @ around.T) * around
        assert found.norm_shares(apart)[0] == pytest.approx(1)


def test_without_a_norm_nothing_is_lost(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny()
    monkeypatch.setattr(LanguageModel, "final_norm", lambda self: torch.nn.Identity())
    found = norm_derivative(lm, STATES)
    np.testing.assert_allclose(found.norm_shares(VECTORS), 1)
    np.testing.assert_allclose(found.apply(VECTORS)[:, 0], VECTORS)
