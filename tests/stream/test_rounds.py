"""What tasks on a streamed model compute is what the model in memory computes, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.support.tiny_models import PACKABLE
from workbench import compat
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.stream import spill
from workbench.stream.gates import LayerStream
from workbench.stream.rounds import run_together
from workbench.trace import Branch, Site, patch_branches, record
from workbench.trace.forward import forward
from workbench.trace.hooks import on_outputs
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.record import record_states
from workbench.trace.token_tree import TokenTree

MakeTiny = Callable[..., LanguageModel]
MakeStreamed = Callable[..., tuple[LanguageModel, LayerStream]]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31], [40, 41, 42, 43, 44], [50, 51, 52]]
TREE = TokenTree((60, 61, 62), (-1, 0, -1))


def final_logits(lm: LanguageModel, row: list[int]) -> Tensor:
    prompts = pad_prompts([row], 0, lm.device)
    read = torch.tensor([[0, len(row) - 1]])
    found = forward(lm, prompts, empty_tail(prompts), read)
    return unembed_reduced(lm, found.final, lambda logits: logits)


def layer_patches(lm: LanguageModel) -> list[Branch]:
    from workbench.trace import Patch

    values = torch.randn(
        len(ROWS), lm.n_layers, lm.width, generator=torch.Generator().manual_seed(1)
    )
    last = torch.tensor([len(row) - 1 for row in ROWS])
    return [[Patch(Site(layer), last, values[:, layer])] for layer in range(lm.n_layers)]


def swept(lm: LanguageModel, budget: int) -> tuple[Tensor, Tensor]:
    found = patch_branches(
        lm, ROWS, layer_patches(lm), lambda z: z[:, :40], tokens_per_forward=budget, tree=TREE
    )
    return found.base, found.patched


@pytest.mark.parametrize("count", [1, 5])
def test_a_pass_reads_the_weights_once_whatever_the_number_of_tasks(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, count: int
) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)
    found = run_together([partial(final_logits, streamed, row) for row in ROWS[:count]])
    for row, got in zip(ROWS, found, strict=False):
        assert torch.equal(got, final_logits(lm, row))
    counts = stream.weights.counts
    assert counts.reads == dict.fromkeys(range(lm.n_layers), 1)
    assert counts.bytes_read == sum(stream.weights.nbytes(layer) for layer in range(lm.n_layers))


@pytest.mark.parametrize("family", PACKABLE)
@pytest.mark.parametrize("bound", [0, 10**9])
def test_states_and_sweeps_of_every_family_are_those_in_memory(
    make_tiny: MakeTiny,
    make_streamed: MakeStreamed,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    bound: int,
) -> None:
    """Also where every waiting tensor lies in a file, and where a batch takes several passes."""
    monkeypatch.setattr(spill, "SMALLEST", 1)
    lm = make_tiny(family)
    streamed, stream = make_streamed(lm, bound)
    at = [[0, len(row) - 1] for row in ROWS]

    def states(model: LanguageModel) -> list[Tensor]:
        pairs = zip(ROWS, at, strict=True)
        return run_together([partial(record_states, model, [row], [p]) for row, p in pairs])

    assert torch.equal(torch.cat(states(streamed)), torch.cat(states(lm)))
    assert stream.weights.counts.passes == 1
    for budget, most in ((400, 2), (40, 1 + 5)):
        for got, expected in zip(swept(streamed, budget), swept(lm, budget), strict=True):
            assert torch.equal(got, expected)
        assert stream.weights.counts.passes <= most
    assert (stream.spill.bytes_written > 0) == (bound == 0)
    assert stream.spill.bytes_held == 0


def test_a_sweep_of_several_batches_is_one_pass(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    streamed, stream = make_streamed(make_tiny())
    swept(streamed, 60)
    assert stream.weights.counts.reads == dict.fromkeys(range(4), 1)


def test_a_recording_of_low_layers_reads_no_layers_above(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)
    found = run_together([partial(record, streamed, [row], [[0]], [Site(1)]) for row in ROWS])
    assert torch.equal(
        torch.cat(found), torch.cat([record(lm, [r], [[0]], [Site(1)]) for r in ROWS])
    )
    assert stream.weights.counts.reads == {0: 1, 1: 1, 2: 1}  # one was read ahead


def test_hooks_of_a_task_leave_other_tasks_alone(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, _ = make_streamed(lm)

    def doubled(row: list[int]) -> Tensor:
        with on_outputs(streamed, {1: lambda hidden: 2 * hidden}):
            return final_logits(streamed, row)

    changed, same = run_together(
        [partial(doubled, ROWS[0]), partial(final_logits, streamed, ROWS[0])]
    )
    assert torch.equal(same, final_logits(lm, ROWS[0]))
    assert not torch.equal(changed, same)
    with on_outputs(streamed, {1: lambda hidden: 2 * hidden}):  # outside of tasks: for all of them
        (for_all,) = run_together([partial(final_logits, streamed, ROWS[0])])
    assert torch.equal(for_all, changed)


def test_tasks_with_more_passes_share_them_with_the_others(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    streamed, stream = make_streamed(make_tiny())

    def several(row: list[int], passes: int) -> list[Tensor]:
        return [final_logits(streamed, row) for _ in range(passes)]

    found = run_together([partial(several, row, n) for n, row in enumerate(ROWS)])
    assert [len(each) for each in found] == [0, 1, 2, 3, 4]
    assert stream.weights.counts.passes == 4


def test_tasks_inside_tasks_share_passes_too(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, stream = make_streamed(lm)

    def both(rows: list[list[int]]) -> list[Tensor]:
        return run_together([partial(final_logits, streamed, row) for row in rows])

    one, other = run_together([partial(both, ROWS[:2]), partial(both, ROWS[2:4])])
    for row, got in zip(ROWS, [*one, *other], strict=False):
        assert torch.equal(got, final_logits(lm, row))
    assert stream.weights.counts.passes == 1
    assert run_together([lambda: run_together([])]) == [[]]


@pytest.mark.parametrize("inside", [False, True])
def test_an_error_ends_the_others_and_leaves_nothing_set(
    make_tiny: MakeTiny, make_streamed: MakeStreamed, inside: bool
) -> None:
    streamed, stream = make_streamed(make_tiny())
    left: list[str] = []

    def hooked(row: list[int]) -> Tensor:
        try:
            with on_outputs(streamed, {3: lambda hidden: hidden}):
                return final_logits(streamed, row)
        finally:
            left.append("left")

    def failing() -> Tensor:
        with on_outputs(streamed, {2: lambda hidden: 1 / 0}):
            return final_logits(streamed, ROWS[1])

    works = [partial(hooked, ROWS[0]), failing, partial(hooked, ROWS[2])]
    if inside:
        works = [partial(run_together, works), partial(hooked, ROWS[3])]
    with pytest.raises(ZeroDivisionError):
        run_together(works)
    assert left == ["left"] * (3 if inside else 2)
    assert not any(layer._forward_hooks for layer in streamed.layers())
    assert not any(stream.weights.is_filled(layer) for layer in range(4))
    assert torch.is_grad_enabled()
    (again,) = run_together([partial(final_logits, streamed, ROWS[0])])
    assert again.shape[-1] == 384


def test_a_parent_may_go_on_after_an_error_of_its_tasks(
    make_tiny: MakeTiny, make_streamed: MakeStreamed
) -> None:
    lm = make_tiny()
    streamed, _ = make_streamed(lm)

    def careful() -> Tensor:
        with pytest.raises(ZeroDivisionError):
            run_together([partial(final_logits, streamed, ROWS[0]), lambda: 1 // 0])
        return final_logits(streamed, ROWS[1])

    found = run_together([careful, partial(final_logits, streamed, ROWS[2])])
    assert torch.equal(found[0], final_logits(lm, ROWS[1]))
    assert torch.equal(found[1], final_logits(lm, ROWS[2]))


def test_without_a_streamed_model_tasks_run_one_after_another(make_tiny: MakeTiny) -> None:
    said: list[int] = []
    assert run_together([partial(said.append, n) for n in range(3)], "said") == [None] * 3
    assert said == [0, 1, 2]


def test_tasks_in_memory_give_back_what_they_freed_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, trimmed = [100.0], []
    monkeypatch.setattr(compat, "monotonic", lambda: now[0])
    monkeypatch.setattr(compat, "_trimmed", [100.0])
    trim = compat.trim_heap

    def noted() -> None:
        trimmed.append(now[0])
        trim()

    monkeypatch.setattr(compat, "trim_heap", noted)

    def work(seconds: float) -> float:
        now[0] += seconds
        return now[0]

    steps = (0.5, 0.75, 0.5, 2.0, 0.25)
    assert run_together([partial(work, step) for step in steps]) == [
        100.5, 101.25, 101.75, 103.75, 104.0,
    ]  # fmt: skip
    assert trimmed == [101.25, 103.75]
