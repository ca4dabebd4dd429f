from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from workbench.config import LoraSettings, TeachSettings
from workbench.elicit.conversation import (
    Conversation,
    ScaleTokens,
    confidence_conversation,
    scale_tokens,
)
from workbench.elicit.formats import Format
from workbench.elicit.readout import recompute_cache
from workbench.elicit.reply_tokens import reply_tokens
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.progress import reporting
from workbench.teach.adapter import load_adapter
from workbench.teach.checkpoints import SEALS
from workbench.teach.examples import Example, distribution_examples, text_examples
from workbench.teach.targets import spread_targets
from workbench.teach.training import first_layer, train_adapter
from workbench.teach.training_forward import Reply
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts, without_last
from workbench.trace.prefix_cache import PrefixCache

MakeTiny = Callable[..., LanguageModel]
FORMAT = Format("short", "", "A:", "Sure?", "C:", " ", "%", PERCENT)
COUNT = 16
FEW = 4
"""Of so many examples one is read as unpadded strings where the loss of all is not asked for."""
LORA = LoraSettings(rank=4, alpha=8, dropout=0.1)
SETTINGS = TeachSettings(
    lora=LORA,
    start_layer=0,
    learning_rate=1e-2,
    epochs=3,
    batch_size=4,
    gradient_accumulation_steps=1,
    checkpoint_steps=2,
)
STEPS = 12
WHOLE_SET = TeachSettings(
    start_layer=0,
    lora=LORA.model_copy(update={"dropout": 0.0}),
    epochs=1,
    batch_size=COUNT,
    gradient_accumulation_steps=1,
)


def rows_of(lm: LanguageModel) -> tuple[list[Conversation], ScaleTokens]:
    """Conversations of unequal length."""
    numbers = scale_tokens(lm.tokenizer, FORMAT)
    return [
        confidence_conversation(
            lm.tokenizer, FORMAT, numbers, f"What is {i} + 7{' x' * (i % 5)}?", str(i + 7)
        )
        for i in range(COUNT)
    ], numbers


def examples_of(lm: LanguageModel, scope: str = "conversation") -> list[Example]:
    """Texts of one to three digits for an adapter on the conversation, distributions for one on
    the reply.
    """
    rows, numbers = rows_of(lm)
    if scope == "conversation":
        return text_examples(
            lm.tokenizer, FORMAT, numbers, rows, [(37 * i) % 101 for i in range(COUNT - 1)] + [100]
        )
    bells = spread_targets(np.resize(np.linspace(0, 1, COUNT), 50), PERCENT, 0.06)[:COUNT]
    return distribution_examples(lm.tokenizer, FORMAT, numbers, rows, bells)


def reply_of(lm: LanguageModel, scope: str, most_bytes: int = 10**9) -> Reply | None:
    if scope == "conversation":
        return None
    rows, numbers = rows_of(lm)
    tokens, names = reply_tokens(lm.tokenizer, FORMAT, numbers), [100 + i for i in range(COUNT)]
    prefixes = PrefixCache(most_bytes, 512, None)
    recompute_cache(
        lm,
        rows,
        numbers,
        lambda cache, prompts: prefixes.keep(names, cache, without_last(prompts, len(tokens))),
    )
    assert prefixes.full == (most_bytes == 0)
    return Reply(tokens, names, prefixes)


def plain_loss(lm: LanguageModel, examples: Sequence[Example], reply: Reply | None = None) -> float:
    """Mean over rows of the loss at each place, read as an unpadded string of its own by a pass
    of the workbench.
    """
    total = 0.0
    for example in examples:
        nodes = example.tree
        paths = [()] + [
            tuple(nodes.tokens[step] for step in nodes.path(node)) for node in range(nodes.size)
        ]
        for place, path in zip(example.places, paths, strict=True):
            length = None if reply is None else len(reply.tokens) + len(path)
            scores = last_scores(lm.with_model(lm.model, length), (*example.prompt, *path))[
                list(place.tokens)
            ]
            total -= place.weight * float(torch.tensor(place.probabilities).double() @ scores)
            if place.ends:
                total -= place.weight * place.ends * float(torch.log(1 - scores.exp().sum()))
    return total / len(examples)


def last_scores(lm: LanguageModel, tokens: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of the token behind ``tokens``."""
    prompts = pad_prompts([tokens], 0, lm.device)
    final = forward(lm, prompts, empty_tail(prompts), torch.tensor([[len(tokens) - 1]])).final
    return unembed(lm, final[0]).double().log_softmax(dim=-1)[0]


def train(
    lm: LanguageModel,
    folder: Path,
    settings: TeachSettings = SETTINGS,
    scope: str = "conversation",
    seed: int = 3,
    most_bytes: int = 10**9,
) -> tuple[LanguageModel, list[dict[str, float]]]:
    return train_adapter(
        lm, examples_of(lm, scope), settings, folder,
        seed=seed, description="Teaching the tiny model", reply=reply_of(lm, scope, most_bytes),
    )  # fmt: skip


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


class Recorder:
    """Keeps what it is told, and raises what it is given once ``limit`` units are done."""

    def __init__(
        self, limit: float = float("inf"), error: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.started: list[tuple[str, float | None]] = []
        self.done = 0.0
        self.finished = 0
        self.limit, self.error = limit, error

    def start(self, description: str, total: float | None) -> int:
        self.started.append((description, total))
        return 0

    def advance(self, task: int, amount: float) -> None:
        self.done += amount
        if self.done >= self.limit:
            raise self.error

    def finish(self, task: int) -> None:
        self.finished += 1


SCOPES = pytest.mark.parametrize("scope", ["conversation", "reply"])
PARTIAL = SETTINGS.model_copy(update={"start_layer": 2})
RUNS = [
    (scope, settings) for scope in ("conversation", "reply") for settings in (SETTINGS, PARTIAL)
]


@SCOPES
def test_the_logged_loss_is_the_mean_over_rows(
    make_tiny: MakeTiny, tmp_path: Path, scope: str
) -> None:
    """One step over all examples, at once and accumulated: the same loss and the same gradient."""
    lm = make_tiny()
    expected = plain_loss(lm, examples_of(lm, scope))
    (at_once,) = train(lm, tmp_path / "once", WHOLE_SET, scope)[1]
    assert at_once["loss"] == pytest.approx(expected, rel=1e-4)
    parts = WHOLE_SET.model_copy(update={"batch_size": 4, "gradient_accumulation_steps": 4})
    (in_parts,) = train(make_tiny(), tmp_path / "parts", parts, scope)[1]
    assert in_parts["loss"] == pytest.approx(expected, rel=1e-4)
    assert in_parts["grad_norm"] == pytest.approx(at_once["grad_norm"], rel=1e-3)


@SCOPES
def test_training_lowers_the_loss_and_leaves_the_base_alone(
    make_tiny: MakeTiny, tmp_path: Path, capfd: pytest.CaptureFixture[str], scope: str
) -> None:
    lm = make_tiny()
    examples, reply = examples_of(lm, scope)[::FEW], reply_of(lm, scope)
    before = plain_loss(lm, examples)
    weights = {name: tensor.clone() for name, tensor in lm.base().state_dict().items()}
    recorder = Recorder()
    with reporting(recorder):
        tuned, log = train(lm, tmp_path, scope=scope)
    after = plain_loss(tuned, examples, reply)
    assert after < 0.9 * before
    assert recorder.started == [("Teaching the tiny model", STEPS)]
    assert (recorder.done, recorder.finished) == (STEPS, 1)
    assert [row["step"] for row in log] == list(range(1, STEPS + 1))
    assert log[0]["loss"] > log[-1]["loss"]
    # Cosine decay: the rate at the end of step k + 1 is lr (1 + cos(pi k / steps)) / 2, before the
    # step is counted.
    rates = [
        1e-2 * (1 + torch.cos(torch.tensor(torch.pi * k / STEPS)).item()) / 2 for k in range(STEPS)
    ]
    assert [row["learning_rate"] for row in log] == pytest.approx(rates, rel=1e-4)
    assert not tuned.model.training
    assert tuned.invocation_length == (None if reply is None else len(reply.tokens))
    assert tuned.base().config._attn_implementation == "sdpa"
    with tuned.model.disable_adapter():
        assert plain_loss(tuned, examples, reply) == pytest.approx(before, rel=1e-6)
    for name, tensor in tuned.base().state_dict().items():
        if "lora_" not in name:
            assert torch.equal(tensor, weights[name.replace("base_layer.", "")])
    reloaded = load_adapter(make_tiny(), tmp_path / "adapter")
    assert plain_loss(reloaded, examples, reply) == pytest.approx(after, rel=1e-6)
    assert capfd.readouterr().out == ""


KILLED = [
    *((*RUNS[0], after, False) for after in (1, 5, 11)),
    (*RUNS[3], 1, False),
    *((*run, 7, True) for run in RUNS),
]


@pytest.mark.parametrize(("scope", "settings", "killed_after", "cut_short"), KILLED)
def test_a_killed_run_resumes_to_the_same_adapter(
    make_tiny: MakeTiny,
    tmp_path: Path,
    whole_runs: dict[Any, Any],
    scope: str,
    settings: TeachSettings,
    killed_after: int,
    cut_short: bool,
) -> None:
    """Killed before the first checkpoint, at an epoch's end and within an epoch; dropout is on.

    The last kill, of every kind of run, falls into the writing of a checkpoint: its seals, which are written last, are
    missing.
    """
    whole, log, filled = whole_runs[scope, settings.start_layer]
    folder = tmp_path / "killed"
    with reporting(Recorder(limit=killed_after + filled)), pytest.raises(KeyboardInterrupt):
        train(make_tiny(), folder, settings, scope)
    assert not (folder / "adapter").exists()
    if cut_short:
        checkpoints = folder / "checkpoints"
        shutil.copytree(checkpoints / "checkpoint-6", checkpoints / "checkpoint-8")
        (checkpoints / "checkpoint-8" / SEALS).unlink()
        (checkpoints / "checkpoint-8" / "optimizer.pt").unlink()
    resumed = Recorder()
    with reporting(resumed):
        _, resumed_log = train(make_tiny(), folder, settings, scope)
    assert resumed.done == STEPS + filled
    assert resumed_log == log
    killed = saved(folder)
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.fixture(scope="module")
def whole_runs(make_tiny: MakeTiny, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """Adapter and log of an uninterrupted run of each kind, and the passes it took before its
    first step.
    """
    out = {}
    for scope, settings in RUNS:
        folder, recorder = tmp_path_factory.mktemp(scope), Recorder()
        with reporting(recorder):
            _, log = train(make_tiny(), folder, settings, scope)
        assert (recorder.done > STEPS) == (settings.start_layer > 0)
        out[scope, settings.start_layer] = (saved(folder), log, recorder.done - STEPS)
    return out


@pytest.mark.filterwarnings("ignore:Keys and values of")
def test_prefixes_that_find_no_room_change_nothing(
    make_tiny: MakeTiny, tmp_path: Path, whole_runs: dict[Any, Any]
) -> None:
    _, log = train(make_tiny(), tmp_path, scope="reply", most_bytes=0)
    expected, expected_log, _ = whole_runs["reply", 0]
    assert [row["loss"] for row in log] == pytest.approx(
        [row["loss"] for row in expected_log], rel=1e-4
    )
    for name, tensor in saved(tmp_path).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-3)


def test_the_seed_decides_the_adapter(make_tiny: MakeTiny, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1})
    runs = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(make_tiny(), tmp_path / name, settings, seed=seed)
        runs[name] = saved(tmp_path / name)
    assert all(torch.equal(runs["a"][name], runs["b"][name]) for name in runs["a"])
    assert any(not torch.equal(runs["a"][name], runs["c"][name]) for name in runs["a"])


@SCOPES
def test_a_loss_that_is_not_finite_ends_the_run(
    make_tiny: MakeTiny, tmp_path: Path, scope: str
) -> None:
    lm = make_tiny()
    with torch.no_grad():
        lm.base().lm_head.weight[7] = float("nan")
    before: Any = lm.base().config._attn_implementation
    with pytest.raises(
        WorkbenchError,
        match=r"NaN or infinite at step 1; no checkpoint.*Lower teach\.learning_rate",
    ):
        train(lm, tmp_path, scope=scope)
    assert lm.base().config._attn_implementation == before
    assert not hasattr(lm.base(), "peft_config")


def ruin(monkeypatch: pytest.MonkeyPatch, update: int, value: float) -> None:
    """Let the optimiser's update of this number leave ``value`` throughout one of the weights."""
    real = torch.optim.AdamW.step

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.taken = getattr(self, "taken", 0) + 1
        result = real(self, *args, **kwargs)
        if self.taken == update:
            self.param_groups[0]["params"][0].data.fill_(value)
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


@SCOPES
def test_a_divergence_keeps_the_last_checkpoint_whose_loss_was_finite(
    make_tiny: MakeTiny, tmp_path: Path, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth update makes weights infinite; the checkpoint of step 4 is written before that
    shows, that of step 2 is good.
    """
    ruin(monkeypatch, 4, float("inf"))
    with pytest.raises(
        WorkbenchError, match=r"at step 5; the last good checkpoint is kept in .*checkpoint-2\."
    ):
        train(make_tiny(), tmp_path, scope=scope)
    assert [path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")] == [
        "checkpoint-2"
    ]
    kept = load_file(tmp_path / "checkpoints" / "checkpoint-2" / "adapter_model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kept.values())
    monkeypatch.undo()
    _, log = train(make_tiny(), tmp_path, scope=scope)
    assert [row["step"] for row in log] == list(range(1, STEPS + 1))


@SCOPES
def test_an_adapter_on_the_upper_layers_learns_the_same_from_kept_states(
    make_tiny: MakeTiny, tmp_path: Path, scope: str
) -> None:
    """Kept within the bound, and without room for anything: the same losses, and matrices in
    layers 2 and 3 alone.
    """
    _, log = train(make_tiny(), tmp_path / "kept", PARTIAL, scope)
    with pytest.warns(UserWarning, match="computed anew at each step"):
        _, anew = train(
            make_tiny(),
            tmp_path / "anew",
            PARTIAL.model_copy(update={"activation_cache_bytes": 0}),
            scope,
        )
    assert [row["loss"] for row in anew] == pytest.approx([row["loss"] for row in log], rel=1e-4)
    assert log[-1]["loss"] < log[0]["loss"]
    layers = {int(name.split(".layers.")[1].split(".")[0]) for name in saved(tmp_path / "kept")}
    assert layers == {2, 3}


def test_the_middle_is_half_of_the_layers() -> None:
    middle = SETTINGS.model_copy(update={"start_layer": "middle"})
    assert [first_layer(middle, n) for n in (1, 4, 5)] == [0, 2, 2]
    assert first_layer(PARTIAL, 4) == 2


def test_a_layer_that_is_still_to_be_found_is_refused(make_tiny: MakeTiny, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="only a run of the whole loop makes"):
        train(make_tiny(), tmp_path, SETTINGS.model_copy(update={"start_layer": "patching"}))
    with pytest.raises(WorkbenchError, match="begin at layer 4; the model has layers 0 to 3"):
        train(make_tiny(), tmp_path, SETTINGS.model_copy(update={"start_layer": 4}))


def test_a_number_of_updates_is_refused_where_epochs_count(
    make_tiny: MakeTiny, tmp_path: Path
) -> None:
    with pytest.raises(WorkbenchError, match=r"arms that sample replies; set teach\.epochs"):
        train(make_tiny(), tmp_path, SETTINGS.model_copy(update={"on_policy_steps": 5}))


def test_the_b_matrices_learn_at_the_ratios_multiple(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """One step of Adam moves every weight by its rate: B from zero by rate x ratio, A by rate."""
    settings = WHOLE_SET.model_copy(update={"learning_rate": 1e-3, "loraplus_lr_ratio": 8.0})
    train(make_tiny(), tmp_path, settings)
    moved = [
        tensor.abs().max().item() for name, tensor in saved(tmp_path).items() if "lora_B" in name
    ]
    assert moved == pytest.approx([8e-3] * len(moved), rel=1e-2)


@SCOPES
def test_an_update_that_ruins_the_weights_at_the_very_end_is_no_result(
    make_tiny: MakeTiny, tmp_path: Path, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ruin(monkeypatch, STEPS, float("nan"))
    with pytest.raises(
        WorkbenchError, match=r"the last good checkpoint is kept in .*checkpoint-10\."
    ):
        train(make_tiny(), tmp_path, scope=scope)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("room", [2000, 12_000, 40_000])
def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(
    make_tiny: MakeTiny,
    tmp_path: Path,
    whole_runs: dict[Any, Any],
    room: int,
    little_room: Callable[[int], Any],
) -> None:
    """Whichever of a checkpoint's files finds no room: weights, the optimiser's, or the
    Trainer's own.
    """
    whole, killed = whole_runs["conversation", 0][0], tmp_path / "killed"
    with reporting(Recorder(limit=3)), pytest.raises(KeyboardInterrupt):
        train(make_tiny(), killed)
    assert (killed / "checkpoints" / "checkpoint-2").exists()
    with (
        little_room(room),
        pytest.raises(
            WorkbenchError,
            match=r"file error in .*the last checkpoint is kept in .*checkpoint-2\. Make room",
        ),
    ):
        train(make_tiny(), killed)
    assert [path.name for path in (killed / "checkpoints").glob("checkpoint-*")] == ["checkpoint-2"]
    train(make_tiny(), killed)
    assert all(torch.equal(tensor, whole[name]) for name, tensor in saved(killed).items())


@pytest.mark.parametrize(("scheme", "scope"), [("int8", "reply"), ("int4", "conversation")])
def test_an_adapter_learns_over_frozen_quantised_weights(
    tiny_folder: Path, tmp_path: Path, scheme: str, scope: str
) -> None:
    """The logged loss is that of unpadded strings by themselves, and the base stays as it was."""
    pytest.importorskip("torchao", reason="torchao, which quantises, is not installed")
    lm = load_model(str(tiny_folder), device="cpu", quantize=scheme)
    examples, reply = examples_of(lm, scope), reply_of(lm, scope)
    whole, few = plain_loss(lm, examples), examples[::FEW]
    before = plain_loss(lm, few)
    (at_once,) = train(lm, tmp_path / "once", WHOLE_SET, scope)[1]
    assert at_once["loss"] == pytest.approx(whole, rel=1e-4)
    tuned, _ = train(
        load_model(str(tiny_folder), device="cpu", quantize=scheme), tmp_path, scope=scope
    )
    assert plain_loss(tuned, few, reply) < 0.9 * before
    with tuned.model.disable_adapter():
        assert plain_loss(tuned, few, reply) == pytest.approx(before, rel=1e-6)
