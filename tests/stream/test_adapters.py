"""A streamed model carries an adapter: on and off for each task by itself, with the numbers of the
model in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.adapter_fingerprint import fingerprint_as_run
from workbench.models.adapter_switch import adapter_off, adapter_only_in, switched_off
from workbench.models.unembed import unembed_reduced
from workbench.settings.teaching import LoraSettings
from workbench.stream.gates import LayerStream
from workbench.stream.rounds import run_together
from workbench.teach.adapter import (
    add_adapter,
    load_adapter,
    remove_adapter,
    save_adapter,
)
from workbench.teach.merged_adapter import adapter_merged
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31], [40, 41, 42, 43, 44]]
TARGETS = {"gpt2": ("c_attn",), "mixtral": ("q_proj", "k_proj")}


def save_random_adapter(lm: LanguageModel, folder: Path, invocation: int | None = None) -> None:
    """Save an adapter whose B matrices are not zero."""
    torch.manual_seed(3)
    targets = TARGETS.get(lm.architecture.family, ("q_proj", "o_proj"))
    tuned = add_adapter(lm, LoraSettings(rank=2, dropout=0.0, target_modules=targets), 1)
    for name, weight in tuned.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    save_adapter(tuned, folder, list(range(invocation)) if invocation else None)
    remove_adapter(tuned)


def logits(lm: LanguageModel, row: list[int]) -> Tensor:
    prompts = pad_prompts([row], 0, lm.device)
    read = torch.tensor([[0, len(row) - 1]])
    found = forward(lm, prompts, empty_tail(prompts), read)
    return unembed_reduced(lm, found.final, lambda scores: scores)


def off(lm: LanguageModel, row: list[int]) -> Tensor:
    with adapter_off(lm):
        return logits(lm, row)


def in_one_layer(lm: LanguageModel, row: list[int]) -> Tensor:
    with adapter_only_in(lm, [2]):
        return logits(lm, row)


def on_off_on(lm: LanguageModel, row: list[int]) -> Tensor:
    before = logits(lm, row)
    return torch.stack([before, off(lm, row), logits(lm, row)])


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "gpt2", "mixtral"])
@pytest.mark.parametrize("invocation", [None, 2])
def test_tasks_with_the_adapter_on_and_off_share_a_pass(
    make_tiny: MakeTiny,
    make_streamed: MakeStreamed,
    tmp_path: Path,
    family: str,
    invocation: int | None,
) -> None:
    lm = make_tiny(family)
    save_random_adapter(lm, tmp_path / "adapter", invocation)
    streamed, stream = make_streamed(lm)
    tuned, expected = (load_adapter(model, tmp_path / "adapter") for model in (streamed, lm))
    assert fingerprint_as_run(tuned).split("+")[1] == fingerprint_as_run(expected).split("+")[1]
    works = [logits, off, in_one_layer, logits, off]
    found = run_together(
        [partial(work, tuned, row) for work, row in zip(works, [*ROWS, ROWS[0]], strict=True)]
    )
    assert stream.weights.counts.passes == 1
    for work, row, got in zip(works, [*ROWS, ROWS[0]], found, strict=True):
        assert torch.equal(got, work(expected, row))
    changed, same = logits(expected, ROWS[0]), off(expected, ROWS[0])
    assert not torch.equal(changed, same)
    assert torch.equal(same, logits(remove_adapter(expected), ROWS[0]))
    assert switched_off() == ()
    (plain,) = run_together([partial(logits, remove_adapter(tuned), ROWS[0])])
    assert torch.equal(plain, same)


def test_a_task_may_switch_between_its_passes(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, tmp_path: Path
) -> None:
    lm = make_tiny()
    save_random_adapter(lm, tmp_path / "adapter")
    streamed, _ = make_streamed(lm)
    tuned, expected = (load_adapter(model, tmp_path / "adapter") for model in (streamed, lm))
    with adapter_off(tuned):
        inside = run_together([partial(logits, tuned, row) for row in ROWS])
    mixed = run_together([partial(on_off_on, tuned, row) for row in ROWS])
    for row, base, three in zip(ROWS, inside, mixed, strict=True):
        assert torch.equal(base, off(expected, row))
        assert torch.equal(three, on_off_on(expected, row))


def test_a_failing_task_leaves_the_adapter_on(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, tmp_path: Path
) -> None:
    lm = make_tiny()
    save_random_adapter(lm, tmp_path / "adapter")
    streamed, _ = make_streamed(lm)
    tuned = load_adapter(streamed, tmp_path / "adapter")

    def failing() -> Tensor:
        with adapter_off(tuned):
            logits(tuned, ROWS[1])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_together([partial(off, tuned, ROWS[0]), failing, partial(on_off_on, tuned, ROWS[2])])
    assert switched_off() == ()
    expected = load_adapter(lm, tmp_path / "adapter")
    assert torch.equal(logits(tuned, ROWS[0]), logits(expected, ROWS[0]))


def test_placeholders_take_no_memory_and_hold_no_numbers(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    streamed, stream = make_streamed(make_tiny())
    weight = streamed.layers()[1].self_attn.q_proj
    with stream.weights.placeholders_on_device():
        assert weight.weight.device == streamed.device
        assert weight.weight.untyped_storage().nbytes() == 4
        assert bool(weight.weight.isnan().all())
        with stream.filled(1):
            assert bool(weight.weight.isfinite().all())
        assert bool(weight.weight.isnan().all())
    assert weight.weight.device.type == "meta"


def test_a_merged_adapter_runs_beside_the_weights(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, tmp_path: Path
) -> None:
    lm = make_tiny()
    save_random_adapter(lm, tmp_path / "adapter")
    streamed, _ = make_streamed(lm)
    tuned, expected = (load_adapter(model, tmp_path / "adapter") for model in (streamed, lm))
    with adapter_merged(tuned), adapter_merged(expected):
        assert torch.allclose(logits(tuned, ROWS[0]), logits(expected, ROWS[0]), atol=1e-6)
