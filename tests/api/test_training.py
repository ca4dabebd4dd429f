from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.api.confidence import Asked
from workbench.api.patching import sweep
from workbench.api.training import train
from workbench.config import TeachSettings
from workbench.elicit.readout import read_confidence
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.share_weights import share_weights
from workbench.teach.adapter import load_adapter, remove_adapter

SETTINGS = TeachSettings(epochs=4, learning_rate=5e-3)


def expected(lm: LanguageModel, asked: Asked) -> np.ndarray:
    reading = read_confidence(lm, asked.conversations[:24], asked.scale_tokens)
    values = np.arange(101) / 100
    return reading.distribution @ values / reading.distribution.sum(axis=1)


@pytest.fixture(scope="module")
def tuned(asked: Asked) -> LanguageModel:
    """Trained to state 0.9 for right answers and 0.2 for wrong ones."""
    targets = np.where(asked.train.correct.to_numpy(dtype=bool), 0.9, 0.2)
    return train(asked, targets, SETTINGS)


def test_the_model_comes_nearer_to_its_targets(asked: Asked, tuned: LanguageModel) -> None:
    part = asked.train
    targets = np.where(part.correct.to_numpy(dtype=bool), 0.9, 0.2)[:24]
    before, after = expected(asked.lm, part), expected(tuned, part)
    assert np.abs(after - targets).mean() < np.abs(before - targets).mean() - 0.05
    assert tuned.invocation_length is not None


def test_the_model_that_was_asked_stays_as_it_was(asked: Asked, tuned: LanguageModel) -> None:
    assert expected(asked.lm, asked) == pytest.approx(asked.expected[:24], abs=1e-6)
    assert not getattr(asked.lm.base(), "peft_config", None)
    assert tuned.embedding().weight.data_ptr() == asked.lm.embedding().weight.data_ptr()


def test_the_adapter_is_switched_off_and_taken_out(asked: Asked, tmp_path: Path) -> None:
    targets = np.linspace(0.1, 0.9, len(asked.train))
    tuned = train(asked, targets, SETTINGS, folder=tmp_path, epochs=1)
    taught = expected(tuned, asked)
    with adapter_off(tuned):
        assert expected(tuned, asked) == pytest.approx(asked.expected[:24], abs=1e-6)
    assert expected(remove_adapter(tuned), asked) == pytest.approx(asked.expected[:24], abs=1e-6)
    again = load_adapter(share_weights(asked.lm), tmp_path / "adapter")
    assert expected(again, asked) == pytest.approx(taught, abs=1e-6)


def test_what_cannot_be_trained_on_is_refused(asked: Asked) -> None:
    with pytest.raises(WorkbenchError, match="give one each"):
        train(asked, np.array([0.5]))
    held_out = pd.Series(0.5, index=asked.test.row)
    with pytest.raises(WorkbenchError, match="no training question"):
        train(asked, held_out)
    with pytest.raises(WorkbenchError, match="probabilities"):
        train(asked, np.full(len(asked.train), 2.0))


def test_a_tuned_model_is_a_donor(asked: Asked, tuned: LanguageModel) -> None:
    """At the last layer the patched reading is the tuned model's own, and the base is the base."""
    found = sweep(asked.lm, asked.test[:6], donor=tuned, controls=False)
    rows = asked.test[:6]
    assert found.base == pytest.approx(rows.expected, abs=1e-5)
    reading = read_confidence(tuned, rows.conversations, rows.scale_tokens)
    own = reading.distribution @ (np.arange(101) / 100) / reading.distribution.sum(axis=1)
    assert found.patched[:, -1] == pytest.approx(own, abs=1e-4)
