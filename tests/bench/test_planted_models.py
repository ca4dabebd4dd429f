from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.bench.planted_bottlenecks import HIDDEN, TOLD, UNREAD, Case, draw_mechanism
from workbench.bench.planted_models import FAMILIES, build_planted
from workbench.bench.planted_tokens import LEVELS, SCALES, Words, ask_question, make_words
from workbench.elicit.conversation import QUESTION_END
from workbench.elicit.readout import ConfidenceReading, expected_confidence, read_confidence
from workbench.elicit.scales import DIGIT

PLACES = (QUESTION_END, "answer_end", "confidence")
"""Places at which states are recorded, the confidence position last."""


def read_levels(case: Case, family: str, words: Words, seed: int = 0) -> ConfidenceReading:
    """Read one question that differs in nothing but the level of its clue."""
    drawn = draw_mechanism(case, words, np.random.default_rng(seed))
    planted = build_planted(replace(drawn, family=family), words, seed)
    asked = [
        ask_question(words, np.random.default_rng(seed), 0, level, 2) for level in range(LEVELS)
    ]
    return read_confidence(planted.lm, asked, words.scale, PLACES)


def spread(values: np.ndarray) -> float:
    """How far the rows are apart at most."""
    return float(np.ptp(values, axis=0).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_not_planted_is_not_there(family: str) -> None:
    words = make_words(DIGIT)
    hidden, unread, told = (read_levels(case, family, words) for case in (HIDDEN, UNREAD, TOLD))
    for reading in (hidden, unread, told):
        assert reading.states is not None
        # The answer's end holds the clue in all three.
        assert spread(reading.states[:, -1, 1]) > 0.5
    assert spread(hidden.states[:, :, -1]) < 1e-4
    assert spread(hidden.distribution) < 1e-5
    assert spread(unread.states[:, -1, -1]) > 0.5
    assert spread(unread.distribution) < 1e-5
    assert spread(told.distribution) > 0.1


@pytest.mark.parametrize("scale", SCALES)
def test_numbers_are_written_and_rise_with_the_clue(scale) -> None:
    reading = read_levels(TOLD, "llama", make_words(scale))
    means = expected_confidence(reading.distribution, scale.values, scale.certain)
    # Levels go from surest to least sure.
    assert (np.diff(means) < 0).all()
    assert not np.isnan(reading.stated).any()
    assert reading.distribution.sum(axis=1).min() > 0.8


def test_the_readout_is_that_of_plain_forwards() -> None:
    words = make_words(DIGIT)
    planted = build_planted(draw_mechanism(TOLD, words, np.random.default_rng(1)), words, 1)
    asked = [ask_question(words, np.random.default_rng(n), 1, n, 3) for n in range(4)]
    found = read_confidence(planted.lm, asked, words.scale).distribution
    for question, row in zip(asked, found, strict=True):
        logits = planted.lm.model(input_ids=torch.tensor([question.tokens])).logits[0, -1]
        plain = logits.double().softmax(dim=-1)[list(words.firsts)].numpy()
        assert np.abs(plain - row).max() < 1e-5


def test_a_token_of_a_clue_tells_nothing_of_its_level_but_by_its_angle() -> None:
    words = make_words(DIGIT)
    planted = build_planted(draw_mechanism(TOLD, words, np.random.default_rng(0)), words, 0)
    embedded = planted.lm.model.get_input_embeddings().weight[list(words.groups["clue"])]
    angle = torch.stack([planted.direction(name) for name in ("clue", "clue twin")])
    rest = embedded - embedded @ angle.T @ angle
    by_level = rest.reshape(LEVELS, -1, rest.shape[-1])
    assert float((by_level - by_level[:1]).abs().max()) < 1e-5
    assert float(embedded.norm(dim=1).std()) < 1e-4
