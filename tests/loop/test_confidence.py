from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

import workbench.loop.confidence
from workbench.config import RunConfig
from workbench.elicit.answer import answer_batch
from workbench.elicit.conversation import (
    POSITIONS,
    QUESTION_END,
    answer_tokens,
    confidence_conversation,
)
from workbench.elicit.parse import parse_confidence
from workbench.elicit.readout import ConfidenceReading, read_confidence
from workbench.elicit.reply_tokens import before_reply
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.loop.answers import answer_questions, answers
from workbench.loop.confidence import (
    confidence_conversations,
    conversations_from_cache,
    elicit,
    read,
)
from workbench.loop.kv_cache import cache_up_to_reply
from workbench.loop.questions import choose_questions, load_questions
from workbench.loop.run import ModelHolder, Run
from workbench.models import LanguageModel
from workbench.pipeline.store import RunStore, StageStore
from workbench.questions import grade, prompt_text, read_questions, shuffled, split_questions
from workbench.trace.prefix_cache import PrefixCache

SOME = [0, 1, 40, 131]


@pytest.fixture(scope="module")
def confidence(context: Run) -> pd.DataFrame:
    return context.stage("elicit").table("confidence")


@pytest.fixture(scope="module")
def readings(context: Run) -> dict[str, Any]:
    return context.stage("elicit").tensors("readings")


def test_the_chosen_questions_are_those_of_the_file_with_their_split(
    context: Run, finished_run: Any
) -> None:
    table, questions = load_questions(context)
    assert questions == read_questions(finished_run.inputs.questions)
    assert dict(zip(table["id"], table["split"], strict=True)) == split_questions(questions, 0.5)
    facts = context.stage("questions").facts()
    assert (facts["questions"], facts["train"]) == (132, (table["split"] == "train").sum())


def test_a_limit_draws_evenly_and_keeps_each_questions_side(context: Run, tmp_path: Any) -> None:
    config = context.config.model_copy(
        update={"questions": context.config.questions.model_copy(update={"limit": 40})}
    )
    small = Run(config, RunStore(tmp_path), tmp_path, {"questions": "key"})
    small.stage("questions").begin()
    facts = choose_questions(small, small.stage("questions"))
    table, whole = (
        small.stage("questions").table("questions"),
        context.stage("questions").table("questions"),
    )
    assert facts["questions"] == 40
    assert table["domain"].value_counts().to_dict() == {"planets": 20, "rivers": 20}
    assert table["row"].tolist() == list(range(40))
    side = whole.set_index("id")["split"]
    assert table["split"].tolist() == side.loc[table["id"]].tolist()


def test_questions_of_named_domains_alone_are_drawn(context: Run, tmp_path: Any) -> None:
    def chosen(*domains: str) -> pd.DataFrame:
        questions = context.config.questions.model_copy(update={"domains": domains, "limit": 40})
        config = context.config.model_copy(update={"questions": questions})
        small = Run(config, RunStore(tmp_path), tmp_path, {"questions": "key"})
        small.stage("questions").begin()
        choose_questions(small, small.stage("questions"))
        return small.stage("questions").table("questions")

    assert chosen("rivers")["domain"].value_counts().to_dict() == {"rivers": 40}
    assert chosen("rivers", "planets")["domain"].value_counts().to_dict() == {
        "planets": 20,
        "rivers": 20,
    }
    with pytest.raises(
        WorkbenchError, match=r"questions\.domains: there is no domain 'seas'; .* planets, rivers"
    ):
        chosen("rivers", "seas")


def test_answers_are_what_the_model_replies_alone_and_graded(context: Run) -> None:
    _, questions = load_questions(context)
    table = context.stage("answer").table("answers")
    limit = context.config.elicit.answer_tokens
    for row in SOME:
        prompt = answer_tokens(context.lm.tokenizer, context.fmt, questions[row].text)
        assert answer_batch(context.lm, [prompt], limit) == [table["answer"][row]]
        assert table["correct"][row] == grade(table["answer"][row], questions[row])
    assert table["row"].tolist() == list(range(132))
    assert table["correct"].tolist() == ["upper" in question.id for question in questions]
    facts = context.stage("answer").facts()
    assert facts["accuracy"] == 0.5
    assert facts["model_revision"] == context.lm.revision
    assert facts["precision"] == "float32"


def test_readings_are_those_of_each_row_alone(
    context: Run, confidence: pd.DataFrame, readings: dict[str, Any]
) -> None:
    conversations = confidence_conversations(context)
    for row in SOME:
        alone = read_confidence(context.lm, [conversations[row]], context.scale_tokens, POSITIONS)
        assert alone.states is not None
        assert readings["distribution"][row] == pytest.approx(alone.distribution[0], abs=1e-6)
        assert readings["states"][row] == pytest.approx(alone.states[0], abs=1e-4)
        assert confidence["stated_text"][row] == alone.stated_text[0]


def test_states_are_the_residual_stream_at_the_named_positions(
    context: Run, readings: dict[str, Any]
) -> None:
    conversation = confidence_conversations(context)[40]
    with torch.no_grad():
        hidden = context.lm.base()(
            input_ids=torch.tensor([conversation.tokens]), output_hidden_states=True
        ).hidden_states
    assert readings["states"].shape == (132, 4, 3, 32)
    for layer in range(3):
        for index, name in enumerate(POSITIONS):
            expected = hidden[layer + 1][0, conversation.position(name)].numpy()
            assert readings["states"][40, layer, index] == pytest.approx(expected, abs=1e-4)


def test_columns_are_computed_from_the_distribution_and_the_text(
    confidence: pd.DataFrame, readings: dict[str, Any]
) -> None:
    distribution, values = readings["distribution"], np.arange(101) / 100
    mass = distribution.sum(axis=1)
    assert confidence["mass"].to_numpy() == pytest.approx(mass)
    assert confidence["expected"].to_numpy() == pytest.approx(
        (distribution * values).sum(axis=1) / mass
    )
    assert confidence["mode"].to_numpy() == pytest.approx(values[distribution.argmax(axis=1)])
    stated = np.array([parse_confidence(text, PERCENT) for text in confidence["stated_text"]])
    assert np.array_equal(confidence["stated"].to_numpy(), stated, equal_nan=True)


def test_the_parse_rate_counts_every_question(context: Run, confidence: pd.DataFrame) -> None:
    failures = confidence["stated"].isna().sum()
    assert 0 < failures < 132
    assert context.stage("elicit").facts()["parse_rate"] == pytest.approx(1 - failures / 132)


def test_a_conversation_that_cannot_be_resolved_stops_the_stage_first(
    writable: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One question of each domain is checked before anything is read."""
    checked: list[str] = []

    def refuse(tokenizer: Any, fmt: Any, numbers: Any, question: str, *said: str) -> None:
        checked.append(question)
        raise WorkbenchError("cannot be resolved")

    def never(*_: Any) -> None:
        raise AssertionError("a forward ran")

    monkeypatch.setattr(workbench.loop.confidence, "check_conversation", refuse)
    monkeypatch.setattr(workbench.loop.confidence, "read_confidence", never)
    with pytest.raises(WorkbenchError, match="cannot be resolved"):
        elicit(writable, writable.stage("elicit"))
    assert len(checked) == 1


def test_a_small_token_budget_changes_nothing_but_the_batches(
    context: Run, tmp_path: Any, confidence: pd.DataFrame
) -> None:
    """A budget below one row still reads each row, one at a time."""
    model = context.config.model.model_copy(update={"tokens_per_forward": 1})
    config = context.config.model_copy(update={"model": model})
    tight = replace(context, config=config)
    stage = StageStore(tmp_path / "elicit", "key")
    stage.begin()
    rows = np.array([3, 70])
    conversations = confidence_conversations(context)

    def reading(batch: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(
            context.lm, [conversations[row] for row in batch], context.scale_tokens
        )

    read(tight, stage, rows, [len(conversations[row].tokens) for row in rows], reading, "reading")
    alone = stage.table("confidence")
    assert len(list((stage.folder / "parts").glob("*.parquet"))) == 2
    assert alone["row"].tolist() == [3, 70]
    assert alone["expected"].to_numpy() == pytest.approx(
        confidence["expected"][rows].to_numpy(), abs=1e-6
    )
    assert set(stage.tensors("readings")) == {"distribution"}


def test_a_question_survives_the_table(tmp_path: Any, tiny_lm: LanguageModel) -> None:
    """Choices, questions without an answer and text of every kind come back from parquet as they
    were read.
    """
    file = tmp_path / "q.jsonl"
    file.write_text(
        '{"id": "a", "question": "Which letter? \\"é\\"\\nA. this\\nB. that", "answers": ["A"], "kind": "choice", "domain": "d"}\n'
        '{"id": "o", "question": "What melts ice?", "answers": ["B"], "kind": "choice", "options": ["frost", "heat"], '
        '"domain": "d"}\n'
        '{"id": "b", "question": "Who was king of the moon?", "answers": [], "answerable": false, "domain": "d"}\n'
        '{"id": "c", "question": "What is 7 + 5?", "answers": ["12", "12.0"], "kind": "numeric", "domain": "e"}\n'
        + "".join(f'{{"question": "Filler {i}?", "answers": ["x"]}}\n' for i in range(8)),
        encoding="utf-8",
    )
    config = RunConfig.model_validate({"questions": {"source": str(file), "limit": None}})
    context = Run(
        config, RunStore(tmp_path / "run"), tmp_path, {"questions": "key"}, ModelHolder(tiny_lm)
    )
    context.stage("questions").begin()
    choose_questions(context, context.stage("questions"))
    assert load_questions(context)[1] == [
        shuffled(question, 0) for question in read_questions(file)
    ]


def test_a_choice_is_asked_with_its_options(tmp_path: Any, tiny_lm: LanguageModel) -> None:
    """From the set's open questions by ``questions.ask_as``; the answer prompt and the
    confidence conversation show the options.
    """
    file = tmp_path / "q.jsonl"
    file.write_text(
        "".join(f'{{"question": "Who is {i}?", "answers": ["Name{i}"]}}\n' for i in range(12))
    )
    config = RunConfig.model_validate(
        {"questions": {"source": str(file), "ask_as": "choice", "options": 3}}
    )
    context = Run(
        config,
        RunStore(tmp_path / "run"),
        tmp_path,
        {"questions": "key", "answer": "key"},
        ModelHolder(tiny_lm),
    )
    for name, stage in (("questions", choose_questions), ("answer", answer_questions)):
        context.stage(name).begin()
        context.stage(name).finish(stage(context, context.stage(name)))
    table, questions = load_questions(context)
    assert {len(question.options) for question in questions} == {3}
    answered = context.stage("answer").table("answers")
    assert answered["correct"].tolist() == [
        grade(r, q) for r, q in zip(answered["answer"], questions, strict=True)
    ]
    for question, text, conversation in zip(
        questions, table["question"], confidence_conversations(context), strict=True
    ):
        assert text == question.text
        assert prompt_text(question) in tiny_lm.tokenizer.decode(conversation.tokens)


def test_reading_leaves_the_keys_and_values_up_to_the_reply(writable: Run) -> None:
    """What a pass over those tokens alone computes, so that teaching need not compute it again."""
    shutil.rmtree(writable.stage("elicit").folder / "parts", ignore_errors=True)
    elicit(writable, writable.stage("elicit"))
    conversations, reply = confidence_conversations(writable), writable.reply
    assert reply is not None
    assert all(row in writable.reply_cache for row in range(132))
    rows = np.array(SOME)
    before = [before_reply(conversations[row], reply) for row in SOME]
    fresh = PrefixCache(10**9, 4096, None)
    found, expected = (
        prefixes.kept(writable.lm, rows, before) for prefixes in (writable.reply_cache, fresh)
    )
    for layer in range(4):
        for side in (0, 1):
            torch.testing.assert_close(
                found.cache.kept[layer][side],
                expected.cache.kept[layer][side],
                rtol=1e-5,
                atol=1e-5,
            )


def test_reading_goes_on_from_what_answering_left(writable: Run) -> None:
    """Left by the stage before or, in a resumed run, computed in that stage's batches: to the bit
    the same readings, after which nothing of the answer prompts is kept.
    """
    rows = [np.array(batch) for batch in (SOME, [2, 3, 5])]
    conversations = confidence_conversations(writable)
    readings = []
    for left in (True, False):
        writable.loaded.prompt_cache = writable.loaded.reply_cache = None
        begun = conversations_from_cache(writable, conversations)
        assert begun is not None
        if left:
            stage = StageStore(writable.store.folder / "answer-anew", "key")
            stage.begin()
            _, questions = load_questions(writable)
            answers(
                writable, writable.lm, stage, questions, np.arange(132), "answering", leave=True
            )
            assert all(row in writable.prompt_cache for row in range(132))
        found = [
            read_confidence(
                writable.lm, [conversations[row] for row in batch], writable.scale_tokens, POSITIONS,
                cache_up_to_reply(writable, batch), begun.kept(batch),
            )
            for batch in rows
        ]  # fmt: skip
        readings.append(found)
        assert all(
            int(row) not in writable.prompt_cache and int(row) in writable.reply_cache
            for batch in rows
            for row in batch
        )
    for one, other in zip(*readings, strict=True):
        assert np.array_equal(one.distribution, other.distribution)
        assert np.array_equal(one.states, other.states)


def test_an_empty_answer_ends_at_the_prompts_last_token(writable: Run) -> None:
    """Its states are recorded in the pass that goes on from answering, too."""
    _, questions = load_questions(writable)
    empty = confidence_conversation(
        writable.lm.tokenizer, writable.fmt, writable.scale_tokens, prompt_text(questions[40]), ""
    )
    prompt = answer_tokens(writable.lm.tokenizer, writable.fmt, prompt_text(questions[40]))
    assert empty.answer_end == len(prompt) - 1
    begun = conversations_from_cache(writable, confidence_conversations(writable))
    assert begun is not None
    assert empty.question_end == empty.answer_end
    record = (*POSITIONS, QUESTION_END)
    found = read_confidence(
        writable.lm, [empty], writable.scale_tokens, record, kept=begun.kept(np.array([40]))
    )
    whole = read_confidence(writable.lm, [empty], writable.scale_tokens, record)
    assert found.states == pytest.approx(whole.states, abs=1e-5)


def test_a_conversation_that_rewrites_its_prompt_is_read_whole(context: Run) -> None:
    conversations = confidence_conversations(context)
    assert conversations_from_cache(context, conversations) is not None
    first = conversations[0]
    changed = replace(first, tokens=(first.tokens[0] + 1, *first.tokens[1:]))
    assert conversations_from_cache(context, [changed, *conversations[1:]]) is None
