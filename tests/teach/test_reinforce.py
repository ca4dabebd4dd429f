from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import workbench.teach.reinforce as module
from workbench.config import TeachSettings
from workbench.elicit.conversation import number_prefix
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import remove_adapter
from workbench.teach.lesson import Lesson
from workbench.teach.losses import log_reward
from workbench.teach.reinforce import Reinforcement, by_sampling, require_trl, rewards_of
from workbench.teach.training import Reply
from workbench.trace.prefixes import Prefixes

from .recipes.test_plans import lesson_of

PLAN = Reinforcement(log_reward, scale=5.0, wrong_format=-3.0, kl=0.05, steps=3)
TEACH = {"scope": "conversation", "batch_size": 1, "checkpoint_steps": 1, "learning_rate": 1e-3, "rate_ratio": 1}


def lesson(lm: LanguageModel, folder: Path) -> Lesson:
    whole = lesson_of(lm, np.resize([1.0, 0.0], 50))
    settings = TeachSettings(**TEACH, lora={"rank": 4, "dropout": 0.0})
    return replace(whole, settings=settings, folder=folder)


def test_rewards_by_hand(tiny_lm: LanguageModel) -> None:
    """Certainty is clipped at .001: certain and right earns 5, certain and wrong -5; what states nothing costs 15."""
    numbers = number_prefix(tiny_lm.tokenizer, FORMATS["percent"])
    middle = 5 * (2 * (np.log(0.5) - np.log(0.001)) / (np.log(0.999) - np.log(0.001)) - 1)
    found = rewards_of(["100%", "100%", "50%", "no idea", "105%", ""], [1, 0, 0, 1, 1, 0], numbers, PLAN)
    assert found == pytest.approx([5, -5, middle, -15, -15, -15])


def test_it_trains_on_the_conversations_own_tokens_and_plain_peft_loads_it(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    made = module._trainer

    def watched(*given: Any) -> Any:
        trainer = made(*given)
        generate = trainer._generate_single_turn

        def noted(prompt_ids: Any, *rest: Any, **more: Any) -> Any:
            seen.extend(prompt_ids)
            return generate(prompt_ids, *rest, **more)

        trainer._generate_single_turn = noted
        return trainer

    monkeypatch.setattr(module, "_trainer", watched)
    given = lesson(tiny_lm, tmp_path)
    taught = by_sampling(PLAN)(given)
    assert [row["step"] for row in taught.log] == [1, 2, 3]
    assert all(np.isfinite(list(row.values())).all() for row in taught.log)
    # A random model states no number: every reply costs the most there is.
    assert {row["reward"] for row in taught.log if row["wrong_format"] == 1.0} <= {-15.0}
    own = {conversation.tokens for conversation in given.conversations}
    assert len(seen) == 24
    assert {tuple(tokens) for tokens in seen} <= own
    assert taught.tokens > 24 * min(map(len, own))
    ours = taught.lm.model(input_ids=torch.tensor([given.conversations[0].tokens])).logits
    remove_adapter(taught.lm)
    tiny_lm.base().save_pretrained(tmp_path / "base")
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    assert list(plain.peft_config) == ["default"]
    torch.testing.assert_close(plain(input_ids=torch.tensor([given.conversations[0].tokens])).logits, ours)


def test_a_killed_training_goes_on_to_the_same_adapter(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    def weights(folder: Path) -> dict[str, torch.Tensor]:
        taught = by_sampling(PLAN)(lesson(tiny_lm, folder))
        found = {n: p.detach().clone() for n, p in taught.lm.model.named_parameters() if "lora_" in n}
        remove_adapter(taught.lm)
        return found

    whole = weights(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / "checkpoints", tmp_path / "resumed" / "checkpoints")
    for checkpoint in (tmp_path / "resumed" / "checkpoints").glob("checkpoint-3"):
        shutil.rmtree(checkpoint)
    resumed = weights(tmp_path / "resumed")
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value)


def test_an_adapter_on_the_reply_and_a_missing_trl_are_refused(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = Reply((5,), list(range(50)), Prefixes(0, 10, None))
    with pytest.raises(WorkbenchError, match=r"set teach\.scope=conversation"):
        by_sampling(PLAN)(replace(lesson(tiny_lm, tmp_path), reply=reply))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[rl\]"):
        require_trl()


def test_reinforcement_moves_towards_what_is_rewarded(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is rigged to write 9 or 1, each half of the time; replies that begin with 9 are rewarded."""
    given = lesson(tiny_lm, tmp_path)
    nine, one = tiny_lm.tokenizer.convert_tokens_to_ids(["9", "1"])
    prompt = torch.tensor([given.conversations[0].tokens])
    with torch.no_grad():
        state = tiny_lm.base().model(input_ids=prompt).last_hidden_state[0, -1]
        tiny_lm.base().lm_head.weight.zero_()
        apart = torch.randn(32, generator=torch.Generator().manual_seed(0))
        apart -= (apart @ state) / (state @ state) * state
        tiny_lm.base().lm_head.weight[nine] = 8 * state / state.norm() ** 2 + apart
        tiny_lm.base().lm_head.weight[one] = 8 * state / state.norm() ** 2 - apart

    def share(lm: LanguageModel) -> float:
        with torch.no_grad():
            chances = lm.model(input_ids=prompt).logits[0, -1].softmax(dim=-1)
        return float(chances[nine] / (chances[nine] + chances[one]))

    monkeypatch.setattr(module, "rewards_of", lambda texts, *_: [float(text.startswith("9")) for text in texts])
    assert share(tiny_lm) == pytest.approx(0.5, abs=1e-3)
    taught = by_sampling(replace(PLAN, steps=12, kl=0.0))(given)
    assert share(taught.lm) > 0.505
    assert taught.log[-1]["wrong_format"] == 0
    remove_adapter(taught.lm)
