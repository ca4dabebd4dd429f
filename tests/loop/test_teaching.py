from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from workbench.elicit.readout import read_confidence
from workbench.loop.asking import conversations_of
from workbench.loop.context import Context
from workbench.loop.teaching import ADAPTER_ON_ROWS


def test_targets_are_the_probabilities_on_the_scale_and_the_control_permutes_them(context: Context) -> None:
    table = context.stage("probe").table("probabilities")
    train = table[table["split"] == "train"]
    taught = context.stage("teach").table("targets")
    control = context.stage("control").table("targets")
    assert taught["row"].tolist() == train["row"].tolist() == control["row"].tolist()
    assert np.abs(taught["target"].to_numpy() - 100 * train["probability"].to_numpy()).max() <= 0.5
    assert sorted(taught["target"]) == sorted(control["target"])
    moved = (taught["target"].to_numpy() != control["target"].to_numpy()).mean()
    assert moved > 0.5


@pytest.mark.parametrize("stage", ["teach", "control"])
def test_every_example_is_seen_once_an_epoch(context: Context, stage: str) -> None:
    facts, log = context.stage(stage).facts(), context.stage(stage).table("log")
    train = context.stage("questions").facts()["train"]
    assert facts["examples"] == train
    assert facts["steps"] == len(log) == math.ceil(train / 8)
    assert log["step"].tolist() == list(range(1, len(log) + 1))
    assert facts["loss.last"] == log["loss"].iloc[-1]
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]


@pytest.mark.parametrize(("stage", "again"), [("teach", "again"), ("control", "again_control")])
def test_the_saved_adapter_gives_the_readings_with_plain_peft(context: Context, stage: str, again: str) -> None:
    table = context.stage(again).table("confidence").set_index("row")
    rows = table.index[:3].tolist()
    conversations = conversations_of(context)
    plain = AutoModelForCausalLM.from_pretrained(context.config.model.name, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, context.stage(stage).folder / "adapter").eval()
    lm = context.lm.with_model(model)
    reading = read_confidence(lm, [conversations[row] for row in rows], context.numbers, 100)
    distribution = context.stage(again).tensors("readings")["distribution"][:3]
    assert distribution == pytest.approx(reading.distribution, abs=1e-6)
    assert table["stated_text"].loc[rows].tolist() == list(reading.stated_text)


def test_the_adapter_moves_confidence_and_answers_only_when_it_is_on(context: Context) -> None:
    def column(stage: str, table: str, name: str) -> Any:
        return context.stage(stage).table(table).set_index("row")[name]

    before, after = column("elicit", "confidence", "expected"), column("again", "confidence", "expected")
    assert (before - after).abs().max() > 0.01
    test = context.stage("questions").table("questions").query("split == 'test'")["row"].tolist()
    off, on = column("again", "answers", "answer"), column("again", "answers_adapter_on", "answer")
    assert len(off.index.intersection(test)) > 30
    base = column("answer", "answers", "answer")
    assert off.equals(base.loc[off.index])
    assert len(on) == min(ADAPTER_ON_ROWS, len(test))
    assert (on.index[0], on.index[-1]) == (test[0], test[-1])
    assert not on.equals(base.loc[on.index])


def test_the_control_is_read_on_held_out_questions_alone(context: Context) -> None:
    test = context.stage("questions").table("questions").query("split == 'test'")["row"].tolist()
    assert context.stage("again_control").table("confidence")["row"].tolist() == test
    assert set(context.stage("again_control").tensors("readings")) == {"distribution"}
    assert context.stage("again").tensors("readings")["states"].shape == (132, 4, 3, 32)
