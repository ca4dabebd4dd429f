from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import workbench.teach.reinforce as module
from tests.support.jobs import training_job
from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter, remove_adapter
from workbench.teach.losses import log_reward
from workbench.teach.on_policy import RLOO, Reinforcement, require_trl, rewards_of
from workbench.teach.reinforce import train_on_policy
from workbench.teach.replies import confidence_replies, whole_replies
from workbench.teach.training_forward import Reply
from workbench.teach.training_job import TrainingJob
from workbench.teach.trl_fixes import left_as_found, positions_from_mask
from workbench.trace.prefix_cache import PrefixCache

PLAN = Reinforcement(log_reward, scale=5.0, wrong_format=-3.0, kl=0.05, steps=3)
TEACH = {
    "adapter_scope": "conversation",
    "batch_size": 1,
    "checkpoint_steps": 1,
    "learning_rate": 1e-3,
    "loraplus_lr_ratio": 1,
}


def job(lm: LanguageModel, folder: Path) -> TrainingJob:
    whole = training_job(lm, np.resize([1.0, 0.0], 50))
    settings = TeachSettings(**TEACH, lora={"rank": 4, "dropout": 0.0})
    return replace(whole, settings=settings, folder=folder)


def test_rewards_by_hand(tiny_lm: LanguageModel) -> None:
    """Certainty is clipped at .001: certain and right earns 5, certain and wrong -5; what states
    nothing costs 15.
    """
    given = replace(training_job(tiny_lm), targets=np.array([1, 0, 0, 1, 1, 0]))
    middle = 5 * (2 * (np.log(0.5) - np.log(0.001)) / (np.log(0.999) - np.log(0.001)) - 1)
    found = rewards_of(
        ["100%", "100%", "50%", "no idea", "105%", ""], range(6), confidence_replies(given), PLAN
    )
    assert found == pytest.approx([5, -5, middle, -15, -15, -15])


def test_it_trains_on_the_conversations_own_tokens_and_plain_peft_loads_it(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    sampled: list[list[int]] = []
    made = module._trainer

    def watched(*given: Any) -> Any:
        trainer = made(*given)
        generate = trainer._generate_single_turn

        def noted(prompt_ids: Any, *rest: Any, **more: Any) -> Any:
            seen.extend(prompt_ids)
            replies, logprobs = generate(prompt_ids, *rest, **more)
            sampled.extend(replies)
            return replies, logprobs

        trainer._generate_single_turn = noted
        return trainer

    monkeypatch.setattr(module, "_trainer", watched)
    given = job(tiny_lm, tmp_path)
    taught = train_on_policy(PLAN)(given)
    assert [row["step"] for row in taught.log] == [1, 2, 3]
    assert all(np.isfinite(list(row.values())).all() for row in taught.log)
    # A random model states no number: every reply costs the most there is.
    assert {row["reward"] for row in taught.log if row["wrong_format"] == 1.0} <= {-15.0}
    own = {conversation.tokens for conversation in given.conversations}
    assert len(seen) == 24
    assert {tuple(tokens) for tokens in seen} <= own
    # Sampled, scored, and scored by the model without the adapter.
    assert taught.tokens == 3 * sum(map(len, [*seen, *sampled])) == taught.log[-1]["tokens"]
    ours = taught.lm.model(input_ids=torch.tensor([given.conversations[0].tokens])).logits
    remove_adapter(taught.lm)
    tiny_lm.base().save_pretrained(tmp_path / "base")
    plain = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    )
    assert list(plain.peft_config) == ["default"]
    torch.testing.assert_close(
        plain(input_ids=torch.tensor([given.conversations[0].tokens])).logits, ours
    )


@pytest.mark.parametrize("kl", [0.0, 0.05])
def test_leave_one_out_counts_its_own_pass_and_logs_the_reward_without_the_divergence(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kl: float
) -> None:
    monkeypatch.setattr(
        module, "rewards_of", lambda texts, *_: [float(number) for number in range(len(texts))]
    )
    plan = replace(PLAN, algorithm=RLOO, kl=kl)
    taught = train_on_policy(plan)(job(tiny_lm, tmp_path))
    assert [row["reward"] for row in taught.log] == pytest.approx([3.5] * 3)
    counted = json.loads(
        (tmp_path / "checkpoints" / "checkpoint-3" / "trainer_state.json").read_text()
    )
    assert taught.tokens == (4 if kl else 3) * counted["num_input_tokens_seen"]
    assert all(np.isfinite(list(row.values())).all() for row in taught.log)
    remove_adapter(taught.lm)


def joint(lm: LanguageModel, folder: Path, grade: Callable[[int, str], bool]) -> TrainingJob:
    return replace(job(lm, folder), fmt=FORMATS["percent-one-turn"], grade=grade, answer_limit=6)


def test_answers_and_confidence_are_sampled_and_what_is_written_between_is_not_trained(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewarded by the length of the answer, so that what is graded is what was sampled."""
    graded: list[str] = []
    rolled: list[dict[str, Any]] = []
    scored: list[dict[str, Any]] = []
    made = module._trainer

    def grade(row: int, answer: str) -> bool:
        graded.append(answer)
        return bool(len(answer) % 2)

    def watched(*given: Any) -> Any:
        trainer = made(*given)
        rollout, score = trainer.rollout_func, trainer._generate_and_score_completions
        trainer.rollout_func = lambda *asked: rolled.append(rollout(*asked)) or rolled[-1]
        trainer._generate_and_score_completions = lambda inputs: (
            scored.append(score(inputs)) or scored[-1]
        )
        return trainer

    monkeypatch.setattr(module, "_trainer", watched)
    given = joint(tiny_lm, tmp_path, grade)
    opening = whole_replies(given).opening
    taught = train_on_policy(replace(PLAN, replies=whole_replies))(given)
    rows = [
        row for one in rolled for row in zip(one["completion_ids"], one["env_mask"], strict=True)
    ]
    assert len(rows) == len(graded) == 24
    assert len(set(graded)) > 12
    for (tokens, mask), answer in zip(rows, graded, strict=True):
        written = tuple(token for token, sampled in zip(tokens, mask, strict=True) if not sampled)
        assert opening is not None
        assert written == opening.written
        assert "\n" not in answer
        assert (
            answer
            == tiny_lm.tokenizer.decode(tokens[: mask.index(0)], skip_special_tokens=True).strip()
        )
    for one, batch in zip(rolled, scored, strict=True):
        kept = [
            row[: len(mask)].tolist()
            for row, mask in zip(batch["tool_mask"], one["env_mask"], strict=True)
        ]
        assert kept == one["env_mask"]
    computed = sum(
        map(
            len,
            [
                *(each for one in rolled for each in one["prompt_ids"]),
                *(tokens for tokens, _ in rows),
            ],
        )
    )
    assert taught.tokens == 4 * computed
    remove_adapter(taught.lm)


def test_leave_one_out_does_not_sample_replies_in_parts(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    with pytest.raises(
        WorkbenchError, match="RLOOTrainer cannot sample a reply in parts; take GRPO"
    ):
        train_on_policy(replace(PLAN, replies=whole_replies, algorithm=RLOO))(
            joint(tiny_lm, tmp_path, lambda row, answer: True)
        )


@pytest.mark.integration
def test_the_default_model_states_a_confidence_in_what_it_samples(tmp_path: Path) -> None:
    """It never writes the format's words by itself: without them no reply had a confidence, and
    nothing was learned.
    """
    lm = load_model("default", device="cpu")
    fmt = FORMATS["percent-one-turn"]
    given = joint(lm, tmp_path, lambda row, answer: answer.startswith("1"))
    settings = given.settings.model_copy(update={"on_policy_steps": 1})
    given = replace(given, numbers=scale_tokens(lm.tokenizer, fmt), settings=settings, lm=lm)
    taught = train_on_policy(replace(PLAN, replies=whole_replies))(given)
    assert taught.log[0]["wrong_format"] <= 0.5


def test_the_settings_number_of_updates_goes_before_the_plans(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    given = job(tiny_lm, tmp_path)
    given = replace(given, settings=given.settings.model_copy(update={"on_policy_steps": 2}))
    taught = train_on_policy(PLAN)(given)
    assert [row["step"] for row in taught.log] == [1, 2]
    remove_adapter(taught.lm)


def test_a_padded_row_is_scored_as_it_is_alone(
    make_tiny: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    """On a model with learned positions, where a row that is moved is another row."""
    lm = make_tiny("gpt2")
    given = job(lm, tmp_path)
    settings = given.settings.model_copy(
        update={"lora": LoraSettings(rank=2, target_modules=("c_attn",), dropout=0.0)}
    )
    tuned = add_adapter(lm, settings.lora)
    with left_as_found(tuned.base()):
        trainer = module._trainer(
            tuned, replace(given, settings=settings), PLAN, confidence_replies(given)
        )
        row, padding = (
            torch.tensor([given.conversations[0].tokens]),
            torch.zeros(1, 7, dtype=torch.long),
        )
        mask = torch.ones_like(row)

        def scored(tokens: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return trainer._get_per_token_logps_and_entropies(tuned.model, tokens, valid, 5)[0]

        alone = scored(row, mask)
        padded = torch.cat([padding, row], dim=1), torch.cat([padding, mask], dim=1)
        with positions_from_mask(tuned.model):
            torch.testing.assert_close(scored(row, mask), alone)
            torch.testing.assert_close(scored(*padded), alone)
        assert not torch.allclose(scored(*padded), alone)
    remove_adapter(tuned)


def test_the_base_model_is_left_as_it_was(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    model, tokens = tiny_lm.base(), torch.tensor([[5, 6, 7]])
    model.config.pad_token_id = model.generation_config.pad_token_id = None
    before, attributes = model(input_ids=tokens).logits, set(vars(model))
    remove_adapter(train_on_policy(PLAN)(job(tiny_lm, tmp_path)).lm)
    assert "forward" not in vars(model)
    assert set(vars(model)) == attributes
    assert (model.config.pad_token_id, model.generation_config.pad_token_id) == (None, None)
    assert not any(module.training for module in model.modules())
    torch.testing.assert_close(model(input_ids=tokens).logits, before, rtol=0, atol=0)


def test_a_loss_that_is_not_a_number_stops_with_the_last_good_checkpoint(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN is planted behind the sampling of step 3, so the weights after two updates are of no
    use.
    """
    calls: list[int] = []

    def planted(texts: list[str], *_: Any) -> list[float]:
        calls.append(1)
        if len(calls) == 3:
            weight = next(p for n, p in tiny_lm.base().named_parameters() if "lora_B.default" in n)
            weight.data.fill_(float("nan"))
        return [float(number) for number in range(len(texts))]

    monkeypatch.setattr(module, "rewards_of", planted)
    with pytest.raises(
        WorkbenchError,
        match=r"infinite at step 3; the last good checkpoint is kept in .*checkpoint-1\.",
    ):
        train_on_policy(PLAN)(job(tiny_lm, tmp_path))
    assert [folder.name for folder in (tmp_path / "checkpoints").glob("checkpoint-*")] == [
        "checkpoint-1"
    ]


@pytest.mark.parametrize(("rate", "steps"), [(1e39, 3), (1e39, 1), (1e37, 3)])
def test_an_update_that_ruins_the_weights_stops_before_sampling(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float, steps: int
) -> None:
    """Weights that are infinite, also after the last update; and finite ones so large that
    logits are no numbers.
    """
    monkeypatch.setattr(
        module, "rewards_of", lambda texts, *_: [float(number) for number in range(len(texts))]
    )
    given = job(tiny_lm, tmp_path)
    given = replace(given, settings=given.settings.model_copy(update={"learning_rate": rate}))
    with pytest.raises(
        WorkbenchError, match=r"infinite at step 2; no checkpoint had been written before"
    ):
        train_on_policy(replace(PLAN, steps=steps))(given)
    assert not (tmp_path / "adapter").exists()


def test_a_killed_training_goes_on_to_the_same_adapter(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    def weights(folder: Path) -> dict[str, torch.Tensor]:
        taught = train_on_policy(PLAN)(job(tiny_lm, folder))
        found = {
            n: p.detach().clone() for n, p in taught.lm.model.named_parameters() if "lora_" in n
        }
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
    reply = Reply((5,), list(range(50)), PrefixCache(0, 10, None))
    with pytest.raises(WorkbenchError, match=r"set teach\.adapter_scope=conversation"):
        train_on_policy(PLAN)(replace(job(tiny_lm, tmp_path), reply=reply))
    monkeypatch.setattr("workbench.teach.on_policy.find_spec", lambda name: None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[rl\]"):
        require_trl()


def test_reinforcement_moves_towards_what_is_rewarded(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head is rigged to write 9 or 1, each half of the time; replies that begin with 9 are
    rewarded.
    """
    given = job(tiny_lm, tmp_path)
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

    monkeypatch.setattr(
        module, "rewards_of", lambda texts, *_: [float(text.startswith("9")) for text in texts]
    )
    assert share(tiny_lm) == pytest.approx(0.5, abs=1e-3)
    taught = train_on_policy(replace(PLAN, steps=12, kl=0.0))(given)
    assert share(taught.lm) > 0.505
    assert taught.log[-1]["wrong_format"] == 0
    remove_adapter(taught.lm)
