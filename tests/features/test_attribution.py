"""Scores of features against slopes of true patches, and their sum against that of the state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.dictionaries import make_dictionary
from workbench.errors import WorkbenchError
from workbench.features import (
    Dictionary,
    FeatureScores,
    attribute_features,
    set_features,
    verify_features,
)
from workbench.models import LanguageModel
from workbench.patch import ComponentSet, Metric, ModelInputs, Reading, contrast, unverified_scores
from workbench.patch.verification import Check
from workbench.trace import record

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35]]
OTHERS = [[50, 61, 7, 8, 99, 10, 11, 12], [21, 20, 23, 22], [30, 35, 34, 33, 32, 31]]
POSITIONS = torch.tensor([[7, 3], [3, 1], [5, 4]])
METRIC: Metric = contrast([40], [41, 42])


def runs(lm: LanguageModel) -> tuple[ModelInputs, ModelInputs]:
    return ModelInputs(lm, ROWS, POSITIONS), ModelInputs(lm, OTHERS, POSITIONS)


def slope_of(
    lm: LanguageModel, book: Dictionary, place: int, feature: int, step: float = 1e-2
) -> Tensor:
    """The metric's change [rows] by a small part of the way to the donor's activation, over that
    part: the derivative that a score is, from patches to both sides in double precision.
    """
    base, donor = runs(lm)
    one = torch.tensor([feature])
    own, theirs = (
        book.activations(
            record(run.lm, run.prompts, run.positions.tolist(), [book.source_site])[:, 0, place],
            one,
        )
        for run in (base, donor)
    )
    at = POSITIONS[:, place]
    branches = [
        [set_features(book, [feature], own + side * step * (theirs - own), at)] for side in (1, -1)
    ]
    out = Reading(METRIC, 1000).values(base, branches).patched
    return (out[:, 0] - out[:, 1]) / (2 * step)


def dense(scores: FeatureScores, place: int, feature: int) -> Tensor:
    out = torch.zeros(len(ROWS), dtype=torch.float64)
    here = (scores.position == place) & (scores.feature == feature)
    out[scores.row[here]] = scores.score[here].double()
    return out


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "gpt_neox"])
@pytest.mark.parametrize("budget", [1000, 9])
def test_scores_are_slopes_of_true_patches(make_tiny: MakeTiny, family: str, budget: int) -> None:
    lm = make_tiny(family)
    lm.model.double()
    books = [
        make_dictionary(1),
        make_dictionary(2, "mlp_out", "mlp_in", kind="topk"),
        make_dictionary(0, "resid_post", normalisation="layer_norm", seed=4),
    ]
    base, donor = runs(lm)
    found = attribute_features(base, donor, books, METRIC, tokens_per_forward=budget)
    for book, scores in zip(books, found.of, strict=True):
        table = scores.table()
        assert len(table) > 20
        for place, feature in table[["position", "feature"]].to_numpy()[:4]:
            expected = slope_of(lm, book, int(place), int(feature))
            got = dense(scores, int(place), int(feature))
            torch.testing.assert_close(got, expected.double(), rtol=2e-3, atol=1e-6)
            assert float(expected.abs().max()) > 1e-5
    value = Reading(METRIC, 1000).unpatched
    torch.testing.assert_close(found.base, value(base), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.donor, value(donor), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "olmo2", "cohere2"])
def test_features_and_error_sum_to_the_state(make_tiny: MakeTiny, family: str) -> None:
    """The attribution of the whole state, from the same gradient, at every position."""
    base, donor = runs(make_tiny(family))
    places = ((1, "resid_post"), (2, "mlp_out"), (2, "resid_pre"), (2, "mlp_in"))
    for layer, component in places:
        book = make_dictionary(layer, component)  # type: ignore[arg-type]
        scores = attribute_features(base, donor, [book], METRIC, tokens_per_forward=9).of[0]
        cut = ComponentSet((layer,), (component,))  # type: ignore[arg-type]
        whole = unverified_scores(base, donor, cut, METRIC, tokens_per_forward=1000)
        expected = whole.of[component][:, 0]  # type: ignore[index]
        total = scores.error.clone()
        total.index_put_((scores.row, scores.position), scores.score, accumulate=True)
        torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)
        assert float(scores.error.abs().max()) > 1e-3


def test_the_table_counts_rows_without_the_feature(tiny_lm: LanguageModel) -> None:
    base, donor = runs(tiny_lm)
    scores = attribute_features(base, donor, [make_dictionary(1)], METRIC, tokens_per_forward=99)
    table = scores.of[0].table()
    for place, feature in table[["position", "feature"]].to_numpy()[::7]:
        line = table[(table["position"] == place) & (table["feature"] == feature)].iloc[0]
        every = dense(scores.of[0], int(place), int(feature))
        assert line["score"] == pytest.approx(float(every.mean()), abs=1e-9)
        assert line["size"] == pytest.approx(float(every.abs().mean()), abs=1e-9)
    assert table["size"].is_monotonic_decreasing


def test_true_patches_say_how_far_to_trust_them(tiny_lm: LanguageModel) -> None:
    base, donor = runs(tiny_lm)
    book = make_dictionary(3, "resid_post")
    scores = attribute_features(base, donor, [book], METRIC, tokens_per_forward=1000).of[0]
    largest, rest = verify_features(
        base, donor, scores, METRIC, Check(cells=6, resamples=50), tokens_per_forward=1000
    )
    assert (largest.kind, rest.kind) == ("largest", "random")
    assert largest.scores.shape == largest.effects.shape == (3, 6)
    assert not {*zip(largest.features, largest.positions, strict=True)} & {
        *zip(rest.features, rest.positions, strict=True)
    }
    assert largest.rho.value > 0.8
    assert 0.5 < largest.slope.value < 1.5
    last = np.asarray(largest.positions) == 0  # the last layer moves the last token alone
    assert np.abs(largest.effects[:, last]).max() > 1e-4


def test_bad_input_is_named_before_any_forward(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, donor = runs(tiny_lm)
    monkeypatch.setattr(tiny_lm.decoder(), "forward", None)
    for books, other, message in (
        ([], donor, "at least one dictionary"),
        ([make_dictionary(7)], donor, "Layer 7 does not exist"),
        ([make_dictionary(width=8)], donor, "8 wide"),
        ([make_dictionary()], donor.at(POSITIONS[:, :1]), "Base and donor look at"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            attribute_features(base, other, books, METRIC, tokens_per_forward=9)
