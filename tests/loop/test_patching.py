from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.conversation import Conversation
from workbench.elicit.readout import expected_confidence
from workbench.errors import WorkbenchError
from workbench.loop.confidence import confidence_conversations
from workbench.loop.patched_items import choose_items, sweep_layers
from workbench.loop.patching import patch
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models.adapter_switch import adapter_off
from workbench.patch.controls import CONDITIONS, derangement, sweep_positions
from workbench.patch.sweep import ONE_BATCH, layer_sweep_of_scale, record_number
from workbench.trace.backends import engine


@pytest.fixture(scope="module")
def sweep(context: Run) -> pd.DataFrame:
    return context.stage("patch").table("sweep")


def items_of(context: Run) -> np.ndarray:
    return choose_items(load_questions(context)[0], 8, 0)


def positions_of(context: Run, conversations: list[Conversation], seed: int) -> np.ndarray:
    reply = None if context.reply is None else len(context.reply)
    return sweep_positions(context.lm.tokenizer, context.fmt, conversations, reply, seed)


def first_of(sweep: pd.DataFrame, condition: str, column: str) -> np.ndarray:
    """One value an item."""
    part = sweep[sweep["condition"] == condition]
    return part.drop_duplicates("item").sort_values("item")[column].to_numpy()


def test_layers_are_all_or_those_asked_for() -> None:
    assert sweep_layers(None, 4) == [0, 1, 2, 3]
    assert sweep_layers((3, 0, 3), 4) == [0, 3]
    for wrong in ((0, 4), (-1, 2), (2,), ()):
        with pytest.raises(WorkbenchError, match=r"at least two layers from 0 to 3"):
            sweep_layers(wrong, 4)


def test_random_positions_lie_within_the_reply_before_the_confidence_position(context: Run) -> None:
    conversations = confidence_conversations(context)
    positions = np.concatenate([positions_of(context, conversations, seed) for seed in range(5)])
    ends = np.array([c.confidence for c in conversations] * 5)
    assert positions[:, 1].tolist() == ends.tolist()
    back = ends - positions[:, 0]
    assert context.reply is not None
    assert sorted(set(back.tolist())) == list(range(1, len(context.reply)))


def test_a_reply_of_one_token_leaves_the_token_before_it(
    context: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "reply", (5,))
    conversations = confidence_conversations(context)[:9]
    positions = positions_of(context, conversations, 0)
    assert (positions[:, 1] - positions[:, 0]).tolist() == [1] * 9


def test_random_positions_lie_between_the_system_turn_and_the_answers_end(
    conversation_context: Run,
) -> None:
    """Where the adapter acts on the whole conversation."""
    conversations = confidence_conversations(conversation_context)
    positions = np.concatenate(
        [positions_of(conversation_context, conversations, seed) for seed in range(5)]
    )
    ends = np.array([c.answer_end for c in conversations] * 5)
    assert positions[:, 1].tolist() == [c.confidence for c in conversations] * 5
    assert (positions[:, 0] <= ends).all()
    # Behind "<|im_start|>system\\n" and the instruction, which byte-level pieces make no shorter
    # than its length in words.
    assert positions[:, 0].min() >= len(conversation_context.fmt.system.split())
    assert len(np.unique(positions[:, 0])) > 40


def test_base_and_donor_readouts_are_those_of_the_other_stages(
    context: Run, sweep: pd.DataFrame
) -> None:
    """All stages of this run compute in float32, so its unpatched readouts must be the same
    numbers.
    """
    items = items_of(context)
    before = context.stage("elicit").table("confidence")["expected"].loc[items].to_numpy()
    after = context.stage("elicit_tuned").table("confidence")["expected"].loc[items].to_numpy()
    partner = derangement(8, 0)
    assert first_of(sweep, "own_tuned", "row").tolist() == items.tolist()
    expected = {
        "own_tuned": (before, after),
        "other_tuned": (before, after[partner]),
        "random_vector": (before, after),
        "random_position": (before, after),
        "other_base": (before, before[partner]),
        "own_base": (before, before),
        "reverse": (after, before),
    }
    assert set(expected) == {condition.name for condition in CONDITIONS} == set(sweep["condition"])
    for name, (base, donor) in expected.items():
        assert first_of(sweep, name, "base") == pytest.approx(base, abs=1e-6)
        assert first_of(sweep, name, "donor") == pytest.approx(donor, abs=1e-6)


def test_controls_are_swept_at_fewer_layers(sweep: pd.DataFrame) -> None:
    layers = {str(name): sorted(set(part["layer"])) for name, part in sweep.groupby("condition")}
    for condition in CONDITIONS:
        assert layers[condition.name] == ([0, 1, 2, 3] if condition.all_layers else [0, 3])
    assert len(sweep) == 8 * (4 * 4 + 3 * 2)


def test_the_models_own_state_changes_nothing(sweep: pd.DataFrame) -> None:
    own = sweep[sweep["condition"] == "own_base"]
    assert own["patched"].to_numpy() == pytest.approx(own["base"].to_numpy(), abs=1e-6)


@pytest.mark.parametrize("condition", ["own_tuned", "other_tuned", "reverse"])
def test_behind_the_last_layer_the_donor_speaks(sweep: pd.DataFrame, condition: str) -> None:
    last = sweep[(sweep["condition"] == condition) & (sweep["layer"] == 3)]
    assert last["patched"].to_numpy() == pytest.approx(last["donor"].to_numpy(), abs=1e-6)


@pytest.mark.parametrize("condition", ["other_tuned", "reverse"])
def test_a_row_of_the_table_is_one_hooked_forward(
    context: Run, sweep: pd.DataFrame, condition: str
) -> None:
    """Written out anew: record the donor's state, put it in behind layer 2 of item 5, read the
    expected confidence.
    """
    items, partner = items_of(context), derangement(8, 0)
    conversations = confidence_conversations(context)
    base, other = conversations[items[5]], conversations[items[partner[5]]]
    trie = context.scale_tokens.trie
    with context.with_adapter("teach") as tuned:

        def read(donor: Any) -> float:
            reading = layer_sweep_of_scale(
                tuned,
                [base.tokens],
                trie,
                [base.confidence],
                [2],
                donor[:, [2]],
                tokens_per_forward=ONE_BATCH,
                engine=engine("loop"),
            )
            return float(expected_confidence(reading.patched, range(101), 100)[0, 0])

        if condition == "other_tuned":
            donor = record_number(tuned, [other.tokens], trie, [[other.confidence]])
            with adapter_off(tuned):
                value = read(donor)
        else:
            with adapter_off(tuned):
                donor = record_number(tuned, [base.tokens], trie, [[base.confidence]])
            value = read(donor)
    part = sweep[(sweep["condition"] == condition) & (sweep["item"] == 5) & (sweep["layer"] == 2)]
    assert part["patched"].item() == pytest.approx(value, abs=1e-6)


def test_the_comparison_with_the_loop_has_a_readout_that_moves(context: Run) -> None:
    facts = context.stage("patch").facts()
    assert facts["packed_vs_loop"] < 1e-6
    assert facts["loop_readout_spread"] > 100 * facts["packed_vs_loop"]


def test_chosen_layers_and_small_batches_give_the_same_numbers(
    writable: Run, sweep: pd.DataFrame
) -> None:
    config = writable.config.model_copy(
        update={
            "patch": writable.config.patch.model_copy(update={"layers": (3, 1)}),
            "model": writable.config.model.model_copy(update={"tokens_per_forward": 1}),
        }
    )
    few = replace(writable, config=config)
    few.keys["patch"] = "another key"
    few.stage("patch").begin()
    patch(few, few.stage("patch"))
    part = (
        few.stage("patch")
        .table("sweep")
        .query("condition == 'own_tuned'")
        .sort_values(["item", "layer"])
    )
    whole = sweep.query("condition == 'own_tuned' and layer in [1, 3]").sort_values(
        ["item", "layer"]
    )
    assert part["layer"].tolist() == whole["layer"].tolist()
    assert part["patched"].to_numpy() == pytest.approx(whole["patched"].to_numpy(), abs=1e-6)
