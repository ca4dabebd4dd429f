from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from workbench.elicit.conversation import POSITIONS
from workbench.elicit.readout import read_confidence
from workbench.loop.confidence import confidence_conversations, elicit_control
from workbench.loop.run import ModelHolder, Run
from workbench.loop.teaching import resolve_start_layer
from workbench.patch.start_layer import find_start_layer
from workbench.pipeline.store import StageStore

# Float32 sums taken in batches of another size differ by this much at most in a probability.
ROUNDING = 1e-5


def test_targets_are_the_probabilities_on_the_scale_and_the_control_permutes_them(
    context: Run,
) -> None:
    table = context.stage("probe").table("probabilities")
    train = table[table["split"] == "train"]
    taught = context.stage("teach").table("targets")
    control = context.stage("teach_control").table("targets")
    assert taught["row"].tolist() == train["row"].tolist() == control["row"].tolist()
    assert np.abs(taught["target"].to_numpy() - 100 * train["probability"].to_numpy()).max() <= 0.5
    assert sorted(taught["target"]) == sorted(control["target"])
    moved = (taught["target"].to_numpy() != control["target"].to_numpy()).mean()
    assert moved > 0.5


@pytest.mark.parametrize("stage", ["teach", "teach_control"])
def test_every_example_is_seen_once_an_epoch(context: Run, stage: str) -> None:
    facts, log = context.stage(stage).facts(), context.stage(stage).table("log")
    train = context.stage("questions").facts()["train"]
    assert facts["examples"] == train
    assert facts["steps"] == len(log) == math.ceil(train / 8)
    assert log["step"].tolist() == list(range(1, len(log) + 1))
    assert facts["loss.last"] == log["loss"].iloc[-1]
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]


@pytest.fixture(params=["reply", "conversation"])
def scoped(request: pytest.FixtureRequest) -> Run:
    """The finished run of either scope."""
    name = {"reply": "context", "conversation": "conversation_context"}[request.param]
    context: Run = request.getfixturevalue(name)
    assert context.config.teach.adapter_scope == request.param
    return context


@pytest.mark.parametrize(
    ("stage", "again"), [("teach", "elicit_tuned"), ("teach_control", "elicit_control")]
)
def test_the_saved_adapter_gives_the_readings_with_plain_peft(
    scoped: Run, stage: str, again: str
) -> None:
    """Every number of the scale as an unpadded string through PEFT's own forward, which finds
    where the adapter starts.
    """
    context = scoped
    table = context.stage(again).table("confidence").set_index("row")
    readings = context.stage(again).tensors("readings")
    trie = context.scale_tokens.trie
    plain = AutoModelForCausalLM.from_pretrained(context.config.model.name, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(context.config.model.name, dtype=torch.float32)
    model = PeftModel.from_pretrained(plain, context.stage(stage).folder / "adapter").eval()
    for index in (0, len(table) // 2, len(table) - 1):
        tokens = confidence_conversations(context)[table.index[index]].tokens
        logits = [next_logits(model, (*tokens, *path)) for path in trie.inner]
        expected = trie.distribution(trie.readout(torch.stack(logits)))
        assert readings["distribution"][index] == pytest.approx(expected, abs=ROUNDING)
        assert (
            table["stated_text"]
            .iloc[index]
            .startswith(context.lm.tokenizer.decode([int(logits[0].argmax())]))
        )
        untouched = torch.equal(next_logits(model, tokens[:-20]), next_logits(base, tokens[:-20]))
        assert untouched == (context.reply is not None)


def next_logits(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([tokens])).logits[0, -1]


def test_the_adapter_moves_confidence_and_leaves_answers(scoped: Run) -> None:
    def column(stage: str, table: str, name: str) -> Any:
        return scoped.stage(stage).table(table).set_index("row")[name]

    before, after = (
        column("elicit", "confidence", "expected"),
        column("elicit_tuned", "confidence", "expected"),
    )
    assert (before - after).abs().max() > 0.01
    test = scoped.stage("questions").table("questions").query("split == 'test'")["row"].tolist()
    off, base = column("elicit_tuned", "answers", "answer"), column("answer", "answers", "answer")
    assert len(off) > 30
    assert len(off.index.intersection(test)) > 10
    assert off.equals(base.loc[off.index])
    if scoped.reply is not None:
        assert not (scoped.stage("elicit_tuned").folder / "answers_adapter_on.parquet").exists()
        return
    on = column("elicit_tuned", "answers_adapter_on", "answer")
    assert len(on) == min(64, len(test))
    assert (on.index[0], on.index[-1]) == (test[0], test[-1])
    assert not on.equals(base.loc[on.index])


def test_states_after_teaching_are_those_of_the_whole_conversation(scoped: Run) -> None:
    """An adapter on the reply moves the confidence position alone."""
    before, after = (
        scoped.stage(stage).tensors("readings")["states"] for stage in ("elicit", "elicit_tuned")
    )
    rows = [3, 60, 131]
    conversations = [confidence_conversations(scoped)[row] for row in rows]
    with scoped.with_adapter("teach") as tuned:
        whole = read_confidence(tuned, conversations, scoped.scale_tokens, POSITIONS)
    assert whole.states is not None
    assert after[rows] == pytest.approx(whole.states, abs=1e-4)
    place = POSITIONS.index("confidence")
    assert np.abs(after - before)[:, :, place].max() > 0.01
    others = [index for index in range(len(POSITIONS)) if index != place]
    moved = np.abs(after - before)[:, :, others].max()
    assert moved == 0 if scoped.reply is not None else moved > 0.01


def test_without_room_for_prefixes_the_readings_are_the_same(context: Run, tmp_path: Path) -> None:
    model = context.config.model.model_copy(update={"kv_cache_bytes": 1, "tokens_per_forward": 700})
    tight = replace(
        context, config=context.config.model_copy(update={"model": model}), loaded=ModelHolder()
    )
    stage = StageStore(tmp_path / "elicit_control", "key")
    stage.begin()
    with pytest.warns(UserWarning, match="computed anew at each use") as said:
        elicit_control(tight, stage)
    assert sum("computed anew" in str(warning.message) for warning in said) == 1
    usual = context.stage("elicit_control").tensors("readings")["distribution"]
    assert stage.tensors("readings")["distribution"] == pytest.approx(usual, abs=ROUNDING)


def test_the_control_is_read_on_held_out_questions_alone(context: Run) -> None:
    test = context.stage("questions").table("questions").query("split == 'test'")["row"].tolist()
    assert context.stage("elicit_control").table("confidence")["row"].tolist() == test
    assert set(context.stage("elicit_control").tensors("readings")) == {"distribution"}
    assert context.stage("elicit_tuned").tensors("readings")["states"].shape == (132, 4, 3, 32)


def test_a_start_layer_is_a_number_or_what_patching_finds(context: Run) -> None:
    conversations = confidence_conversations(context)
    rows = np.arange(len(conversations))
    assert resolve_start_layer(context, conversations, rows) == context.config.teach
    middle = context.config.teach.model_copy(update={"start_layer": "middle"})
    half = resolve_start_layer(context.with_teach(middle), conversations, rows)
    assert half == middle.model_copy(update={"start_layer": context.lm.n_layers // 2})
    teach = context.config.teach.model_copy(update={"start_layer": "patching"})
    found = resolve_start_layer(context.with_teach(teach), conversations, rows)
    drawn = np.sort(np.random.default_rng(context.config.seed).permutation(rows)[:32])
    wanted = find_start_layer(
        context.lm,
        [conversations[row] for row in drawn],
        context.scale_tokens,
        carried=0.1,
        tokens_per_forward=100_000,
        seed=context.config.seed,
    )
    assert found == teach.model_copy(update={"start_layer": wanted})
