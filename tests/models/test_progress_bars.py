from __future__ import annotations

import pytest
from huggingface_hub.utils import are_progress_bars_disabled
from tqdm.auto import tqdm  # type: ignore[import-untyped]
from transformers.utils import logging as transformers_logging

from workbench.models.progress_bars import quiet_bars


def test_bars_are_hidden_inside_and_back_after(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_bars(True):
        list(tqdm(range(3), desc="hidden"))
        assert not transformers_logging.is_progress_bar_enabled()
        assert are_progress_bars_disabled()
    assert transformers_logging.is_progress_bar_enabled()
    assert not are_progress_bars_disabled()
    list(tqdm(range(3), desc="shown"))
    error = capfd.readouterr().err
    assert "hidden" not in error
    assert "shown" in error


def test_bars_come_back_after_an_error() -> None:
    with pytest.raises(KeyError), quiet_bars(True):
        raise KeyError
    assert transformers_logging.is_progress_bar_enabled()


def test_not_quiet_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_bars(False):
        list(tqdm(range(3), desc="shown"))
    assert "shown" in capfd.readouterr().err
