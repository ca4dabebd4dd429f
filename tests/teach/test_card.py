from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from workbench.errors import WorkbenchError
from workbench.teach.card import Card, card_text, write_card

CARD = Card(
    base_model="owner/model",
    revision="abc",
    recipe="doubt, reward doubt",
    source="a paper",
    arm="log: the log score",
    data="mine.jsonl",
    train=300,
    test=200,
    held_out_domains=("sums",),
    seed=4,
    other_seeds=(5, 6),
    settings={"epochs": 3},
    metrics={"AUROC2 text, log": "0.800 [0.700, 0.900]", "odd|name": "a\nb"},
)


def test_the_card_says_recipe_data_seeds_and_metrics() -> None:
    text = card_text(CARD)
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "base_model": "owner/model",
        "library_name": "peft",
        "tags": ["confidence", "calibration", "lora"],
    }
    for said in (
        "doubt, reward doubt", "a paper", "log: the log score", "mine.jsonl; 300 questions to train, 200 held out",
        "held out of training: sums", "Seed: 4.", "seeds 5, 6", "| AUROC2 text, log | 0.800 [0.700, 0.900] |",
        "| odd\\|name | a b |", '"epochs": 3',
    ):  # fmt: skip
        assert said in body


def test_a_model_that_is_not_on_the_hub_is_not_linked(tmp_path: Path) -> None:
    for name in ("default", str(tmp_path)):
        head = card_text(replace(CARD, base_model=name)).split("---\n", 2)[1]
        assert "base_model" not in yaml.safe_load(head)


def test_a_card_goes_beside_an_adapter_only(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="There is no adapter in"):
        write_card(tmp_path, CARD)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert write_card(tmp_path, CARD).read_text() == card_text(CARD)


def test_an_adapter_that_states_nothing_by_itself_says_so() -> None:
    assert "states about its confidence" in card_text(CARD)
    text = card_text(replace(CARD, states_confidence=False))
    assert "By itself it states nothing." in text
    assert "states about its confidence" not in text
