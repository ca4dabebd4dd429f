"""A planted direction is found, and where there is nothing to be found nothing is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny_models import build_tiny
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.random_weights import random_like
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import contrast
from workbench.subspaces.find import SplitPrompts, find_subspaces
from workbench.subspaces.result import PLACEBOS, FoundSubspace, Placebos, SwapMeasures
from workbench.subspaces.rotation import Boundless
from workbench.subspaces.search import SearchSettings, search_subspace
from workbench.subspaces.swapped_readings import SwappedReadings
from workbench.subspaces.variable import Variable

READ, COPY, LAYER = 0, 5, 1
UP, DOWN = 300, 301
METRIC = contrast([UP], [DOWN])
TRAIN, HELD_OUT = range(20, 116), range(120, 180)
SETTINGS = SearchSettings(epochs=40, rate=0.03)


def planted() -> LanguageModel:
    """A model whose last token's embedding holds a number of its own on dimension READ, which the
    head reads, and on dimension COPY one that goes with it (r = 0.6), which nothing reads. A
    perfect copy would make the diagonal of both as good a direction as the one that is read.
    """
    lm = build_tiny("llama", tie_word_embeddings=False)
    generator = torch.Generator().manual_seed(5)
    numbers, others = torch.randn((2, lm.config.vocab_size), generator=generator)
    with torch.no_grad():
        embedding = lm.base().get_input_embeddings().weight
        embedding[:, READ] = 0.5 * numbers
        embedding[:, COPY] = 0.3 * numbers + 0.4 * others
        for layer in lm.layers():
            for written in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                written.mul_(0.3)
                written[[READ, COPY]] = 0.0
        head = lm.head().weight
        head[[UP, DOWN]] = 0.0
        head[UP, READ], head[DOWN, READ] = 2.0, -2.0
    return lm


def split(lm: LanguageModel) -> SplitPrompts:
    """Prompts whose last tokens are all different, so none can be learned by heart."""
    rows = [[5 + token % 7, 9, token] for token in (*TRAIN, *HELD_OUT)]
    count = len(TRAIN)
    return SplitPrompts(ModelInputs(lm, rows[:count]), ModelInputs(lm, rows[count:]))


def variables(prompts: SplitPrompts) -> tuple[Variable, Variable]:
    lm = prompts.train.lm
    values = lm.base().get_input_embeddings().weight[:, READ].double().numpy()
    variable = Variable("planted", values[list(TRAIN)], values[list(HELD_OUT)])
    mixed = np.random.default_rng(3)
    other = variable.ordered_by(
        "random numbers", mixed.random(len(TRAIN)), mixed.random(len(HELD_OUT))
    )
    return variable, other


@pytest.fixture(scope="module")
def found() -> list[FoundSubspace]:
    lm = planted()
    prompts = split(lm)
    variable, other = variables(prompts)
    return find_subspaces(
        prompts,
        split(random_like(lm, 1)),
        METRIC,
        variable,
        other,
        LAYER,
        [1],
        settings=SETTINGS,
        resamples=100,
        tokens_per_forward=96,
    )


def test_the_planted_direction_is_found_and_placebos_find_nothing(
    found: list[FoundSubspace],
) -> None:
    one = found[0]
    assert abs(float(one.subspace.basis[READ, 0])) > 0.95
    assert abs(float(one.subspace.basis[COPY, 0])) < 0.3
    assert one.measures.accuracy.low > 0.8
    assert one.measures.donor_slope.low > 0.8
    assert abs(one.measures.base_slope.value) < 0.2
    for name, placebo in one.placebos:
        assert placebo.accuracy.value < one.measures.accuracy.low - 0.1, name
        assert placebo.donor_slope.value < 0.4, name
    assert one.whole.donor_slope.value > 0.8
    assert one.nothing.base_slope.value == pytest.approx(1.0)
    assert abs(one.nothing.donor_slope.value) < 1e-6


def test_a_boundary_finds_how_many_directions_there_are() -> None:
    prompts = split(planted())
    readings = SwappedReadings(prompts.train, METRIC, LAYER, tokens_per_forward=96)
    target = variables(prompts)[0].train
    found = search_subspace(readings, target, Boundless(most=6, penalty=1.0, hottest=4.0), SETTINGS)
    assert found.rank <= 2
    assert float(found.basis[READ].norm()) > 0.95


def test_the_table_has_every_placebo_beside_the_number(found: list[FoundSubspace]) -> None:
    table = found[0].table()
    assert list(table["swapped"]) == ["found", *PLACEBOS, "nothing", "whole_state"]
    assert table[["accuracy", "accuracy.low", "donor_slope", "donor_slope.high"]].notna().all(None)


def test_placebos_cannot_be_left_out() -> None:
    lm = planted()

    def refuse(*_: Any) -> None:
        raise AssertionError("a forward ran")

    lm.decoder().register_forward_pre_hook(refuse)
    prompts = split(lm)
    variable, other = variables(prompts)
    given = (prompts, prompts, METRIC, variable, other, LAYER)
    for placebos in ((), PLACEBOS[1:], (*PLACEBOS, "luck")):
        with pytest.raises(WorkbenchError, match="without its placebos"):
            find_subspaces(*given, [1], placebos=placebos)
    for ranks, words in (([], "at least one rank"), ([9], "1 to 8"), ([Boundless(40)], "as wide")):
        with pytest.raises(WorkbenchError, match=words):
            find_subspaces(*given, ranks)
    uneven = replace(other, train=other.train + 1)
    with pytest.raises(WorkbenchError, match="another base rate"):
        find_subspaces(prompts, prompts, METRIC, variable, uneven, LAYER, [1])
    with pytest.raises(WorkbenchError, match="Layer 7 does not exist"):
        find_subspaces(prompts, prompts, METRIC, variable, other, 7, [1])


def test_a_result_without_placebos_cannot_be_built(found: list[FoundSubspace]) -> None:
    with pytest.raises(WorkbenchError, match="not held without its placebos"):
        replace(found[0], placebos=None)
    measures: SwapMeasures = found[0].measures
    with pytest.raises(TypeError):
        Placebos(shuffled_variable=measures)  # type: ignore[call-arg]
