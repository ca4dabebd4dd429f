"""A base model, without a chat template, asked in plain text by the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_models import build_tiny
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.loop import STAGES, run_stages
from workbench.loop.confidence import confidence_conversations
from workbench.loop.run import Run
from workbench.pipeline.store import RunStore
from workbench.questions import Question, write_questions


@pytest.fixture
def config(loop_inputs: Any, tmp_path: Path) -> RunConfig:
    """Eight questions for a tiny base model with room for worked examples."""
    lm = build_tiny(max_position_embeddings=1024)
    lm.tokenizer.chat_template = None
    for part in (lm.model, lm.tokenizer):
        part.save_pretrained(tmp_path / "base")
    questions = [
        Question(f"q{i}", f"What is {i}?", ("it",), "numbers", "made", "none") for i in range(8)
    ]
    write_questions(tmp_path / "questions.jsonl", questions)
    whole = loop_inputs.config.model_dump(mode="json")
    whole["model"]["name"] = str(tmp_path / "base")
    whole["questions"] |= {"source": str(tmp_path / "questions.jsonl"), "limit": 8}
    whole["elicit"] |= {"answer_tokens": 3, "template": "plain"}
    return RunConfig.model_validate(whole)


def test_a_base_model_is_answered_and_read(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to its confidence, with the keys that later stages need; its answers are of no matter."""
    monkeypatch.setattr("workbench.loop.checks.check_answers", lambda _: None)
    context = Run(config, RunStore(tmp_path / "run"), tmp_path / "figures")
    run_stages(STAGES[:3], context)
    read = context.stage("elicit").table("confidence")
    assert read["expected"].between(0, 1).all()
    assert context.stage("elicit").tensors("readings")["states"].shape == (8, 4, 3, 32)
    decode = context.lm.tokenizer.decode
    assert context.reply is not None
    assert decode(context.reply) == "Confidence: "
    for row, conversation in enumerate(confidence_conversations(context)):
        text = decode(conversation.tokens)
        assert text.startswith("Answer with only the answer.\n\nQuestion: How many strings")
        assert text.count("\n\nQuestion: ") == 10
        assert row in context.reply_cache
    for line in ("\nConfidence: 95%\n\n", "\nConfidence: 20%\n\n"):
        assert line in text


def test_a_base_model_needs_plain_turns(config: RunConfig, tmp_path: Path) -> None:
    chat = config.elicit.model_copy(update={"template": "chat"})
    with pytest.raises(WorkbenchError, match=r"base model: ask it in plain text"):
        _ = Run(config.model_copy(update={"elicit": chat}), RunStore(tmp_path), tmp_path).lm
