from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace import Subspace, subspaces_by_layer


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def projector(basis: Tensor) -> Tensor:
    """A (A^T A)^-1 A^T, of any basis A, in double precision."""
    wide = basis.double()
    return wide @ torch.linalg.inv(wide.T @ wide) @ wide.T


def test_a_plane_worked_out_by_hand() -> None:
    """The columns (3, 4, 0) and (3, 4, -2) are (0.6, 0.8, 0) and (0, 0, -1) in order."""
    span = Subspace(torch.tensor([[3.0, 3.0], [4.0, 4.0], [0.0, -2.0]]))
    torch.testing.assert_close(span.basis, torch.tensor([[0.6, 0.0], [0.8, 0.0], [0.0, -1.0]]))
    assert (span.width, span.rank) == (3, 2)
    state = torch.tensor([[5.0, 10.0, 7.0]])
    torch.testing.assert_close(span.coordinates(state), torch.tensor([[11.0, -7.0]]))
    torch.testing.assert_close(span.project(state), torch.tensor([[6.6, 8.8, 7.0]]))
    torch.testing.assert_close(
        span.states(torch.tensor([1.0, 2.0])), torch.tensor([0.6, 0.8, -2.0])
    )
    # -1.6 and 1.2 are what is orthogonal to the plane, and stay.
    twice = span.change(state, torch.zeros(1, 3), 2.0)
    torch.testing.assert_close(twice, torch.tensor([[-1.6 + 13.2, 1.2 + 17.6, 14.0]]))
    swapped = span.change(state, torch.tensor([[0.6, 0.8, 0.0]]), 0.0)
    torch.testing.assert_close(swapped, torch.tensor([[-1.6 + 0.6, 1.2 + 0.8, 0.0]]))


def test_a_direction_keeps_its_sign_and_loses_its_length() -> None:
    for length in (1e-6, 1.0, 1e6):
        span = Subspace(length * torch.tensor([-3.0, 4.0]))
        torch.testing.assert_close(span.basis, torch.tensor([[-0.6], [0.8]]))


def test_any_basis_becomes_an_orthonormal_one_of_its_span() -> None:
    basis = draw(12, 5) * torch.tensor([1e-4, 1.0, 1e4, 1.0, 1.0])
    span = Subspace(basis.bfloat16())
    assert span.basis.dtype == torch.float32
    torch.testing.assert_close(span.basis.T @ span.basis, torch.eye(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        span.project(torch.eye(12)), projector(basis.bfloat16()).float(), rtol=0, atol=1e-5
    )
    again = Subspace(span.basis)
    torch.testing.assert_close(again.basis, span.basis, rtol=0, atol=1e-6)


def test_what_is_orthogonal_stays_as_it_was() -> None:
    span, states = Subspace(draw(16, 3, seed=1)), draw(7, 16, seed=2)
    changed = span.change(states, draw(7, 16, seed=3), 0.7)
    torch.testing.assert_close(
        changed - span.project(changed), states - span.project(states), rtol=0, atol=2e-6
    )
    assert float((changed - states).abs().max()) > 0.1


BAD: list[tuple[Any, str]] = [
    (torch.zeros(4, 0), r"needs a basis \[width, r\] of one column or more, got \[4, 0\]"),
    (torch.zeros(0), r"one column or more, got \[0\]"),
    (torch.tensor(1.0), r"one column or more, got \[\]"),
    (torch.ones(2, 3, 4), r"one column or more, got \[2, 3, 4\]"),
    (draw(4, 5), r"5 columns of 4 numbers, and no more than 4"),
    (torch.tensor([1.0, float("nan")]), "NaN or infinite"),
    (torch.tensor([1.0, float("inf")]), "NaN or infinite"),
    (torch.eye(4)[:, :3] * torch.tensor([1.0, 0.0, 1.0]), "Column 1 of the basis is zero"),
    (torch.zeros(4), "Column 0 of the basis is zero"),
    (draw(6, 2) @ torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]), "3 columns but rank 2"),
]


@pytest.mark.parametrize(("basis", "said"), BAD)
def test_what_spans_no_subspace_is_refused_in_one_sentence(basis: Any, said: str) -> None:
    with pytest.raises(WorkbenchError, match=said) as raised:
        Subspace(basis)
    assert str(raised.value).count(". ") == 0


def test_subspaces_by_layer_come_from_a_mapping_or_one_after_another() -> None:
    bases = draw(3, 8, 2)
    spans = subspaces_by_layer(bases, [4, 5, 9])
    assert list(spans) == [4, 5, 9]
    for basis, span in zip(bases, spans.values(), strict=True):
        assert torch.equal(span.basis, Subspace(basis).basis)
    directions = subspaces_by_layer(bases[:, :, 0].numpy(), [4, 5, 9])
    assert [span.rank for span in directions.values()] == [1, 1, 1]
    mixed = subspaces_by_layer({1: spans[4], 2: bases[1], 7: bases[2, :, 0]}, [2, 1])
    assert mixed[1] is spans[4]
    assert torch.equal(mixed[2].basis, spans[5].basis)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (draw(3, 8, 2), r"with 2 layers, or a mapping from layers; got \[3, 8, 2\]"),
        (draw(8), r"with 2 layers.*got \[8\]"),
        ({0: draw(8)}, "no subspace for layer 1"),
    ],
)
def test_subspaces_that_do_not_fit_the_layers_are_refused(given: Any, said: str) -> None:
    with pytest.raises(WorkbenchError, match=said):
        subspaces_by_layer(given, [0, 1])


def test_states_in_bfloat16_are_changed_in_float32_and_rounded_once() -> None:
    """Also under autocast, where products of float32 would be made in bfloat16."""
    states, value, basis = draw(5, 32).bfloat16(), draw(5, 32, seed=1), draw(32, 2, seed=2)
    span = Subspace(basis)
    p, x = projector(basis), states.double()
    expected = (x + (value.double() - 0.5 * x) @ p).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = span.change(states, value, 0.5)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    assert float((found == expected).float().mean()) > 0.95
    assert torch.equal(span.change(states, states, 0.0), states)
