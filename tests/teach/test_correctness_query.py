from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import answer_tokens, confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.teach.correctness_query import answer_start, correctness_query_objective
from workbench.teach.divergence import jensen_shannon, without_adapter
from workbench.teach.training_forward import Passes
from workbench.teach.training_job import TrainingJob

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = ["What is 3 + 4?", "Which of the longer rivers is it?", "Why?"]
ANSWERS = ["7", "the second one of them", "no"]
TARGETS = np.array([1.0, 0.0, 1.0])


def training_job(lm: LanguageModel, name: str = "i-ii", **changes: Any) -> TrainingJob:
    fmt = FORMATS[name]
    numbers = scale_tokens(lm.tokenizer, fmt)
    conversations = [
        confidence_conversation(lm.tokenizer, fmt, numbers, q, a)
        for q, a in zip(QUESTIONS, ANSWERS, strict=True)
    ]
    whole: dict[str, Any] = {
        "lm": lm, "fmt": fmt, "numbers": numbers, "questions": QUESTIONS, "answers": ANSWERS,
        "conversations": conversations, "states": lambda name: np.zeros((3, 1, 1)), "targets": TARGETS,
        "base": np.zeros((3, 2)), "settings": TeachSettings(), "seed": 0, "reply": None,
        "folder": Path(), "description": "", **changes,
    }  # fmt: skip
    return TrainingJob(**whole)


@pytest.mark.parametrize("kind", ["digits", "whole_numbers"])
def test_the_answer_starts_where_it_was_generated(make_tiny: MakeTiny, kind: str) -> None:
    lm = make_tiny(tokenizer=kind)
    job = training_job(lm)
    for question, answer, row in zip(QUESTIONS, ANSWERS, job.conversations, strict=True):
        start = answer_start(row, answer_tokens(lm.tokenizer, job.fmt, question))
        assert lm.tokenizer.decode(list(row.tokens[start : row.answer_end + 1])).strip() == answer


def logits_at(model: Any, tokens: Any) -> torch.Tensor:
    return model(input_ids=torch.tensor([list(tokens)])).logits[0]


@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_the_loss_from_plain_forwards_of_each_row(make_tiny: MakeTiny, kappa: float) -> None:
    """Each choice scored as a string of its own, the divergence at the tokens that predict the
    answer.
    """
    lm = make_tiny()
    job = training_job(lm)
    plan = correctness_query_objective(job, kappa)
    tuned = add_adapter(lm, LoraSettings(rank=4, dropout=0.0))
    for name, parameter in tuned.model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    rows = [2, 0, 1]
    found = plan.loss(rows, Passes(tuned, plan.examples, None, 0, 0).logits(tuned.model, rows))
    expected = []
    for row in rows:
        conversation = job.conversations[row]
        trie, tokens = job.numbers.trie, conversation.tokens
        logs = []
        for steps, end in trie.ends:
            path = [token for _, token in steps]
            scores = logits_at(tuned.model, (*tokens, *path)).log_softmax(dim=-1)[len(tokens) - 1 :]
            log = sum(scores[place, token] for place, token in enumerate(path))
            if end >= 0:
                log = log + torch.log(1 - scores[-1, list(trie.children[end])].exp().sum())
            logs.append(log)
        loss = -torch.stack(logs).log_softmax(dim=0)[int(TARGETS[row])]
        if kappa:
            start = answer_start(conversation, answer_tokens(lm.tokenizer, job.fmt, QUESTIONS[row]))
            at = slice(start - 1, conversation.answer_end)
            moved = logits_at(tuned.model, tokens).log_softmax(dim=-1)[at]
            with without_adapter(tuned):
                base = logits_at(tuned.model, tokens).log_softmax(dim=-1)[at]
            loss = loss + kappa * jensen_shannon(moved, base).mean()
        expected.append(loss.item())
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)
    found.backward()
    assert all(p.grad is not None for n, p in tuned.model.named_parameters() if "lora_B" in n)


def test_without_an_adapter_the_pull_is_nothing(tiny_lm: LanguageModel) -> None:
    plan, free = (
        correctness_query_objective(training_job(tiny_lm), 1.0),
        correctness_query_objective(training_job(tiny_lm), 0.0),
    )
    with torch.no_grad():
        logits = Passes(tiny_lm, plan.examples, None, 0, 0).logits(tiny_lm.model, [0, 1, 2])
    assert float(plan.loss([0, 1, 2], logits)) == pytest.approx(
        float(free.loss([0, 1, 2], logits)), abs=1e-5
    )


def test_other_formats_and_scopes_are_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(
        WorkbenchError, match=r"the format 'percent' has 101\. Set elicit\.format=i-ii"
    ):
        correctness_query_objective(training_job(tiny_lm, "percent"), 1.0)
    with pytest.raises(WorkbenchError, match=r"set teach\.adapter_scope=conversation"):
        correctness_query_objective(training_job(tiny_lm, reply=SimpleNamespace()), 1.0)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_the_base_models_passes_are_counted(tiny_lm: LanguageModel, kappa: float) -> None:
    job = training_job(tiny_lm)
    plan = correctness_query_objective(job, kappa)
    passes = Passes(tiny_lm, plan.examples, None, 0, 0, plan.extra_tokens)
    own = sum(len(c.tokens) + job.numbers.trie.tree.size for c in job.conversations)
    base = sum(c.position("answer_end") for c in job.conversations)
    assert passes.tokens([0, 1, 2]) == own + (kappa > 0) * base
