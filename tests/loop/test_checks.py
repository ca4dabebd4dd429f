from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import GPT2Config, LlamaConfig

import workbench.experiments.recipes.checks
from workbench.config import (
    ModelSettings,
    ProbeConfig,
    Resolved,
    RunConfig,
    UserSettings,
    load_config,
    resolve,
)
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.checks import check_arms, check_recipe
from workbench.loop import checks as check
from workbench.loop.checks import (
    check_grades,
    check_layers,
    check_run,
    check_teach,
    fewest_of_a_kind,
)
from workbench.models.shape import ModelShape, read_shape
from workbench.teach.recipes import DOUBT

LINEAR = {
    "q_proj": 4,
    "k_proj": 4,
    "v_proj": 4,
    "o_proj": 4,
    "gate_proj": 4,
    "up_proj": 4,
    "down_proj": 4,
    "lm_head": 1,
}
SHAPE = ModelShape("tiny", 4, 32, LINEAR)


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """200 questions in two domains, and a model of 4 layers that is 32 wide."""
    for module in (check, workbench.experiments.recipes.checks):
        monkeypatch.setattr(module, "read_shape", lambda _: SHAPE)
    file = tmp_path / "questions.jsonl"
    rows = (
        {"question": f"What is {i}?", "answers": ["a"], "domain": ("x", "y")[i % 2]}
        for i in range(200)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(questions: Path, **changes: Any) -> Resolved:
    given = {key.replace("__", "."): value for key, value in changes.items()}
    given = {"questions.source": str(questions), "questions.limit": None, **given}
    return resolve(RunConfig(), {}, {}, UserSettings(assigned=given))


def config(questions: Path, **changes: Any) -> RunConfig:
    return asked(questions, **changes).config


def test_what_can_be_done_passes(questions: Path) -> None:
    check_run(config(questions, patch__layers=[0, 3], teach__start_layer=3))
    check_recipe(asked(questions), DOUBT, seeds=3)


ROOM = "use more questions or other shares."
RUN: dict[str, tuple[dict[str, Any], str]] = {
    "a layer to patch": (
        {"patch__layers": [0, 4]},
        "patch.layers names 4; the model 'tiny' has layers 0 to 3, so choose among them, or leave "
        "it out for all.",
    ),
    "a layer to teach from": (
        {"teach__start_layer": 4},
        "teach.start_layer is 4; the model 'tiny' has layers 0 to 3, so choose one of them.",
    ),
    "a module": (
        {"teach__lora__target_modules": ["q_prj"]},
        "teach.lora.target_modules: the model 'tiny' has no linear module 'q_prj'; did you mean "
        "'q_proj'?",
    ),
    "a module like no other": (
        {"teach__lora__target_modules": ["q_proj", "nope"]},
        "teach.lora.target_modules: the model 'tiny' has no linear module 'nope'; it has "
        "down_proj, gate_proj, k_proj, lm_head, o_proj, "
        "q_proj, up_proj, v_proj.",
    ),
    "a rank": (
        {"teach__lora__rank": 33},
        "teach.lora.rank is 33, and the model 'tiny' is 32 wide, beyond which a rank adds nothing "
        "but memory; choose a smaller one.",
    ),
    "updates": (
        {"teach__on_policy_steps": 5},
        "teach.on_policy_steps counts the updates of arms that sample replies; set teach.epochs "
        "for the others.",
    ),
    "the loop's items": (
        {"patch__n_questions": 8, "patch__n_reference": 9},
        "patch.n_reference is 9 and patch.n_questions 8; the loop repeats some of the questions "
        "patched, so set it to at most as many.",
    ),
    "a model read layer by layer": (
        {"model__placement": "stream"},
        "Teaching needs every layer in memory, and model.placement=stream reads them one by one; "
        "ask and patch such a model with 'workbench elicit', 'trace' and 'patch', or set "
        "model.placement=device.",
    ),
    "a template that is not there": (
        {"model__chat_template": "/no/such.jinja"},
        "model.chat_template: there is no file /no/such.jinja; check its path.",
    ),
    "graded answers that are not there": (
        {"questions__graded_file": "/no/such.jsonl"},
        "questions.graded_file: there is no file /no/such.jsonl; check its path.",
    ),
    "a mirror that is not there": (
        {"questions__mirror": "/no/such"},
        "questions.mirror: there is no folder /no/such; check its path.",
    ),
    "a held-out domain that is not asked": (
        {"questions__domains": ["x"], "questions__held_out_domains": ["y"]},
        "questions.held_out_domains names 'y', which is none of questions.domains; add it there, "
        "or leave it out.",
    ),
    "a domain": ({"questions__domains": ["z"]}, "questions.domains: there is no domain 'z'; the domains are x, y."),
    "one question": ({"questions__limit": 1}, f"None of the 1 questions fell on the test side; {ROOM}"),
    "few questions for the folds": (
        {"questions__limit": 20},
        "There are 12 training questions, and a probe with probe.folds=5 and probe.inner_folds=4 "
        "needs at least 20, half of them "
        "answered rightly; raise questions.limit, or use fewer folds.",
    ),
    "many folds": (
        {"probe__folds": 100},
        "There are 130 training questions, and a probe with probe.folds=100 and "
        "probe.inner_folds=4 needs at least 200, half of them "
        "answered rightly; raise questions.limit, or use fewer folds.",
    ),
    "few questions to teach": (
        {"questions__limit": 60},
        "Teaching needs at least 50 examples, and there are 39 training questions; raise "
        "questions.limit, or questions.train_fraction.",
    ),
    "few held out": (
        {"questions__train_fraction": 0.985},
        "4 questions are held out, and at least 8 are patched; use a larger set of questions.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RUN)
def test_what_cannot_be_done_is_refused_before_it_is_begun(questions: Path, case: str) -> None:
    changes, sentence = RUN[case]
    with pytest.raises(WorkbenchError) as error:
        check_run(config(questions, **changes))
    # How many fall on a side is the split's own matter; the numbers are compared with it below.
    assert _without_counts(str(error.value)) == _without_counts(sentence)


def _without_counts(sentence: str) -> str:
    import re

    return re.sub(
        r"(there are|There are|^)\s*\d+ (training questions|questions are held out)",
        r"\1 N \2",
        sentence,
    )


def test_arms_that_cannot_be_taught_are_refused(questions: Path) -> None:
    for changes, arms, seeds, sentence in (
        (
            {},
            ["log", "log"],
            1,
            "The arm 'log' is named twice; name it once, and train it with several seeds by "
            "--seeds.",
        ),
        ({}, ["nope"], 1, "The recipe 'doubt' has no arm 'nope'; choose among log, brier,"),
        ({}, ["log"], 0, "A recipe is taught with 1 to 1,000 seeds, not 0."),
        ({}, ["log"], 1001, "A recipe is taught with 1 to 1,000 seeds, not 1,001."),
        (
            {"questions__limit": 60},
            ["log"],
            1,
            "The arm 'log' needs at least 50 examples, and there are ",
        ),
        (
            {"teach__start_layer": 7},
            ["log"],
            1,
            "teach.start_layer is 7; the model 'tiny' has layers 0 to 3",
        ),
        (
            {"teach__lora__rank": 64},
            ["log"],
            1,
            "teach.lora.rank is 64, and the model 'tiny' is 32 wide",
        ),
    ):
        with pytest.raises(WorkbenchError) as error:
            check_recipe(asked(questions, **changes), DOUBT, arms, seeds)
        assert str(error.value).startswith(sentence)


def test_what_an_arm_keeps_back_counts() -> None:
    with pytest.raises(WorkbenchError, match="being kept back for its temperature"):
        check.check_taught(["q"] * 50, 0.2, "The arm 'head'")
    check.check_taught(["q"] * 50, 0.0, "The arm")
    assert [arm.name for arm in check_arms(DOUBT, ())] == list(DOUBT.default)


@pytest.mark.parametrize(
    ("folds", "inner", "fewest"),
    [(5, 4, 10), (3, 2, 10), (20, 19, 20), (5, 9, 12), (10, 20, 23), (3, 100, 150)],
)
def test_so_many_of_a_kind_fill_the_nested_folds(folds: int, inner: int, fewest: int) -> None:
    """By hand: of 12 a fold of 5 takes 3 and leaves 9; of 23 one of 10 takes 3 and leaves 20; of
    150 one of 3 takes 50.
    """
    assert fewest_of_a_kind(ProbeConfig(folds=folds, inner_folds=inner)) == fewest


def test_grades_are_checked_before_confidence_is_read() -> None:
    probe = ProbeConfig()
    good = np.array([True, False] * 10)
    check_grades(probe, good, good)
    for training, held_out, sentence in (
        (
            good | True,
            good,
            "All 20 training answers are right, so there is nothing to tell apart; choose harder "
            "questions, or more of them.",
        ),
        (
            good & False,
            good,
            "All 20 training answers are wrong, so there is nothing to tell apart; choose easier "
            "questions, or more of them.",
        ),
        (
            good,
            good & False,
            "All 20 held-out answers are wrong, so there is nothing to tell apart; choose easier "
            "questions, or more of them.",
        ),
        (
            np.arange(40) < 9,
            good,
            "Of the 40 training answers 9 are right and 31 wrong; a probe with probe.folds=5 and "
            "probe.inner_folds=4 needs at least 10 of "
            "each: use more questions, a set nearer to half right, or fewer folds.",
        ),
    ):
        with pytest.raises(WorkbenchError) as error:
            check_grades(probe, training, held_out)
        assert str(error.value) == sentence


def test_a_shape_is_read_without_weights(tmp_path: Path) -> None:
    small: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "vocab_size": 50,
    }
    LlamaConfig(num_hidden_layers=3, architectures=["LlamaForCausalLM"], **small).save_pretrained(
        tmp_path / "llama"
    )
    GPT2Config(n_layer=2, n_embd=32, n_head=4, vocab_size=50).save_pretrained(tmp_path / "gpt2")
    llama, gpt2 = (
        read_shape(ModelSettings(name=str(tmp_path / name))) for name in ("llama", "gpt2")
    )
    assert (llama.n_layers, llama.width, gpt2.n_layers, gpt2.width) == (3, 32, 2, 32)
    assert dict(llama.linear) == {**dict.fromkeys(LINEAR, 3), "lm_head": 1}
    assert dict(gpt2.linear) == {"c_attn": 2, "c_proj": 4, "c_fc": 2, "lm_head": 1}
    check_teach(RunConfig().teach, llama)
    check_layers(load_config(None, {"patch.layers": [0, 2]}), llama)
    with pytest.raises(WorkbenchError, match="has no linear module 'q_proj'"):
        check_teach(RunConfig().teach, gpt2)
