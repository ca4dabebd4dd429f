from __future__ import annotations

import pytest

from workbench.config import TeachSettings
from workbench.experiments.robustness.trainings import Training
from workbench.experiments.robustness.variants import VARIANTS

RUN = TeachSettings(epochs=7, learning_rate=0.5)


@pytest.mark.parametrize(
    ("name", "start"), [("all-layers", 0), ("upper-half", 15), ("upper-third", 20)]
)
def test_the_adapter_begins_at_a_share_of_the_layers(name: str, start: int) -> None:
    changed = VARIANTS[name].settings(RUN, 30)
    assert changed == RUN.model_copy(update={"start_layer": start})


def test_changes_keep_what_they_do_not_name() -> None:
    low_rank = VARIANTS["low-rank"].settings(RUN, 4)
    assert (low_rank.lora.rank, low_rank.lora.alpha) == (4, 8)
    assert low_rank.lora.target_modules == RUN.lora.target_modules
    assert (low_rank.epochs, low_rank.learning_rate) == (7, 0.5)


def test_the_published_one_acts_on_the_conversation_and_writes_text() -> None:
    published = VARIANTS["published"].settings(RUN, 4)
    assert (published.adapter_scope, published.target) == ("conversation", "text")
    assert (published.epochs, published.learning_rate, published.weight_decay) == (3, 2e-4, 0)
    assert "down_proj" in published.lora.target_modules


def test_names_of_stages() -> None:
    assert Training("all-layers", 3, RUN).stage("teach") == "trainings/all-layers/3/teach"
