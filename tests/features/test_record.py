"""Recorded features are those of states recorded apart, for every token and for chosen ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.support.dictionaries import make_dictionary
from workbench.errors import WorkbenchError
from workbench.features import Dictionary, record_features
from workbench.features.activation import Activation
from workbench.models import LanguageModel
from workbench.trace import Site, record

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33], [40, 41, 42]]


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite"])
def test_every_token_has_its_own_features(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    for book in (make_dictionary(2, kind="topk"), make_dictionary(1, "mlp_out", "mlp_in")):
        found = record_features(lm, ROWS, book, tokens_per_forward=9)
        assert found.row.tolist() == [row for row, tokens in enumerate(ROWS) for _ in tokens]
        assert found.position.tolist() == [at for tokens in ROWS for at in range(len(tokens))]
        errors, written = [], []
        for row, tokens in enumerate(ROWS):
            where = [list(range(len(tokens)))]
            read, wrote = record(lm, [tokens], where, [book.source_site, book.site])[0]
            acts = book.encode(read)
            dense = acts.chosen(torch.arange(book.features))
            for at in where[0]:
                feature, value = found.at(row, at)
                assert sorted(feature.tolist()) == dense[at].nonzero().flatten().tolist()
                torch.testing.assert_close(value, dense[at][feature], rtol=1e-4, atol=1e-5)
            errors.append((wrote - book.decode(acts, read)).square().sum(dim=1))
            written.append(wrote)
        torch.testing.assert_close(found.error, torch.cat(errors), rtol=1e-4, atol=1e-4)
        states = torch.cat(written)
        spread = (states - states.mean(dim=0)).square().sum()
        assert found.unexplained == pytest.approx(float(torch.cat(errors).sum() / spread), rel=1e-4)


def test_chosen_tokens_alone(tiny_lm: LanguageModel) -> None:
    book, where = make_dictionary(1), [[7, 2], [3, 0], [1, 2], [2, 1]]
    found = record_features(tiny_lm, ROWS, book, where, tokens_per_forward=8)
    whole = record_features(tiny_lm, ROWS, book)
    assert found.position.tolist() == [2, 7, 0, 3, 1, 2, 1, 2]
    for row, positions in enumerate(where):
        for at in positions:
            one, other = found.at(row, at), whole.at(row, at)
            assert torch.equal(one[0], other[0])
            torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(WorkbenchError, match="Token 5 of prompt 0 was not recorded"):
        found.at(0, 5)


def test_a_dictionary_of_both_signs_of_every_number_explains_all(tiny_lm: LanguageModel) -> None:
    """x = relu(x) - relu(-x)."""
    both = torch.cat([torch.eye(32), -torch.eye(32)])
    book = Dictionary(
        "signs",
        Site(2),
        None,
        both,
        torch.zeros(64),
        both,
        torch.zeros(32),
        Activation("relu"),
    )
    found = record_features(tiny_lm, ROWS, book)
    assert found.unexplained == pytest.approx(0.0, abs=1e-10)
    assert bool((found.active.counts() == 32).all())


def test_bad_input_is_named_before_any_forward(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_lm.decoder(), "forward", None)
    for book, rows, where, message in (
        (make_dictionary(4), ROWS, None, "Layer 4 does not exist"),
        (make_dictionary(width=8), ROWS, None, "8 wide"),
        (make_dictionary(), [], None, "at least one prompt"),
        (make_dictionary(), ROWS, [[0]], "positions for every prompt"),
        (make_dictionary(), ROWS, [[4], [4], [0], [0]], "Position 4 of prompt 1 lies outside"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            record_features(tiny_lm, rows, book, where)
