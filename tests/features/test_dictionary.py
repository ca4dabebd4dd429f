"""A dictionary of two features worked out by hand, blocks of tokens and features, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.dictionaries import WIDTH, K, make_dictionary
from workbench.errors import WorkbenchError
from workbench.features import Dictionary, dictionary
from workbench.features.activation import Activation
from workbench.models import LanguageModel
from workbench.trace.sites import Site

STATES = torch.randn((9, WIDTH), generator=torch.Generator().manual_seed(1))
KINDS = ("relu", "jumprelu", "topk", "batch_topk")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def by_hand(activation: Activation) -> Dictionary:
    """Encoder rows (1, 0) and (1, 1), decoder rows (2, 0) and (0, 3), biases 0 and -1."""
    return Dictionary(
        "by hand",
        Site(0),
        None,
        torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
        torch.tensor([0.0, -1.0]),
        torch.tensor([[2.0, 0.0], [0.0, 3.0]]),
        torch.tensor([0.5, 0.0]),
        activation,
    )


def test_two_features_worked_out_by_hand() -> None:
    """State (2, 3): before the rule 2 and 4. State (-1, 1): -1 and -1."""
    states = torch.tensor([[2.0, 3.0], [-1.0, 1.0]])
    for rule, value in (
        (Activation("relu"), [2.0, 4.0]),
        (Activation("jumprelu", torch.tensor([2.0, 3.9])), [0.0, 4.0]),
        (Activation("jumprelu", torch.tensor([1.9, 4.0])), [2.0, 0.0]),
        (Activation("topk", k=1), [0.0, 4.0]),
        (Activation("batch_topk", torch.tensor([2.5])), [0.0, 4.0]),
    ):
        book = by_hand(rule)
        found = book.encode(states)
        assert found.counts().tolist() == [sum(v > 0 for v in value), 0]
        assert found.chosen(torch.arange(2)).tolist() == [value, [0.0, 0.0]]
        assert book.activations(states, torch.tensor([1, 0])).tolist() == [value[::-1], [0.0, 0.0]]
        made = book.decode(found, states).tolist()
        assert made == [[0.5 + 2 * value[0], 3 * value[1]], [0.5, 0.0]]


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_give_what_one_product_gives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoder outputs of 5 features and 3 tokens at a time, decoder rows of 2 entries at a time."""
    book = make_dictionary(kind=kind)
    whole = book.encode(STATES)
    made = book.decode(whole, STATES)
    for size in (4 * WIDTH * 5, 4 * WIDTH):
        monkeypatch.setattr(dictionary, "BLOCK_BYTES", size)
        parts = book.encode(STATES)
        assert torch.equal(parts.token, whole.token)
        assert torch.equal(parts.feature, whole.feature)
        torch.testing.assert_close(parts.value, whole.value, **CLOSE)
        torch.testing.assert_close(book.decode(parts, STATES), made, **CLOSE)
    assert int(whole.counts().max()) <= (K if kind == "topk" else book.features)
    feature, value = whole.of_token(2)
    assert value.tolist() == sorted(value.tolist(), reverse=True)
    assert torch.equal(value, whole.chosen(feature)[2])


def test_activations_of_any_shape_of_states() -> None:
    for kind in KINDS:
        book, some = make_dictionary(kind=kind), torch.tensor([7, 0, 30])
        wide = book.activations(STATES.reshape(3, 3, WIDTH), some)
        assert torch.equal(wide, book.activations(STATES, some).reshape(3, 3, 3))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "softplus"}, "'softplus' is not known; known are relu"),
    ({"centre": torch.zeros(WIDTH - 1)}, r"The centre of drawn .* expected \[32\]"),
    ({"skip": torch.zeros(WIDTH, 3)}, "The skip of drawn"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_weights_that_do_not_fit_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        make_dictionary(**change)


def test_a_rule_without_its_numbers_is_named() -> None:
    for kind in ("jumprelu", "batch_topk"):
        with pytest.raises(WorkbenchError, match=f"Features of {kind} need the threshold"):
            Activation(kind)  # type: ignore[arg-type]
    with pytest.raises(WorkbenchError, match="k of at least 1, not 0"):
        Activation("topk")


def test_another_model_is_named_before_any_forward(tiny_lm: LanguageModel) -> None:
    for book, message in (
        (make_dictionary(layer=4), "Layer 4 does not exist"),
        (make_dictionary(width=16), "features of drawn jumprelu are 16 wide .* at .* 32"),
        (make_dictionary(0, "mlp_out", "resid_mid", width=16), "16 wide"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            book.require_model(tiny_lm)
    make_dictionary(3, "mlp_out", "mlp_in").require_model(tiny_lm)


def test_features_outside_and_repeated_are_named() -> None:
    book = make_dictionary()
    for features, message in (
        ([0, 48], "Feature 48 does not exist; drawn jumprelu has features 0 to 47"),
        ([-1], "Feature -1 does not exist"),
        ([3, 3], "Name each feature of a patch once"),
        ([], "at least one"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            book.require_features(torch.tensor(features, dtype=torch.long))
    with pytest.raises(WorkbenchError, match="whole numbers"):
        book.require_features(torch.tensor([0.5]))
