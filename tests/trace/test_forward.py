from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from transformers import DynamicCache

from tests.support.tiny_models import EAGER
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.forward import ColumnWrite, forward
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail, empty_tail, pad_prompts

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23], [30, 31, 32, 33, 34, 35, 36]]
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 4}
CASES = [
    ("llama", {}),
    ("mistral", {"sliding_window": 4}),
    ("gemma2", {"sliding_window": 4}),
    ("gemma3_text", MIXED),
    ("gpt2", {}),
    ("gpt_neox", {}),
]
KERNELS = [
    (family, overrides, attention)
    for family, overrides in CASES
    for attention in ("sdpa", "eager")
    if attention == "eager" or family not in EAGER
]


def last(prompts: Prompts) -> torch.Tensor:
    return torch.full((prompts.rows, 1), prompts.columns - 1)


def copies(prompts: Prompts, first_layer: tuple[int, ...]) -> Tail:
    """Copies of the last prompt token, each seeing the prompt before it and itself."""
    size = len(first_layer)
    column = torch.full((prompts.rows, size), prompts.columns - 1)
    return Tail(
        tokens=prompts.tokens[:, -1:].expand(-1, size),
        positions=prompts.positions[:, -1:].expand(-1, size),
        prefix_end=column,
        attends_to=torch.eye(size, dtype=torch.bool)[None],
        first_layer=first_layer,
        source_column=column,
    )


@pytest.mark.parametrize(("family", "overrides"), CASES)
def test_the_plain_forward_is_the_models_own(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object]
) -> None:
    """Rows of a left-padded batch have the states of the row alone, under the model's own mask."""
    lm = make_tiny(family, **overrides)
    prompts = pad_prompts(ROWS, 0, lm.device)
    every = torch.arange(prompts.columns).expand(prompts.rows, -1)
    result = forward(lm, prompts, empty_tail(prompts), every, record=every)
    assert result.recorded is not None
    assert result.cache is None
    for row, ids in enumerate(ROWS):
        with torch.no_grad():
            own = lm.decoder()(
                input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False
            )
        torch.testing.assert_close(
            result.final[row, -len(ids) :], own.last_hidden_state[0], rtol=1e-4, atol=1e-5
        )
        for layer in range(3):
            recorded = result.recorded[row, layer, -len(ids) :]
            torch.testing.assert_close(
                recorded, own.hidden_states[layer + 1][0], rtol=1e-4, atol=1e-5
            )
        torch.testing.assert_close(lm.final_norm()(result.recorded[row, 3]), result.final[row])


@pytest.mark.parametrize(("family", "overrides", "attention"), KERNELS)
def test_late_columns_equal_the_same_tail_carried_from_the_start(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object], attention: str
) -> None:
    lm = make_tiny(family, **overrides)
    lm.base().set_attn_implementation(attention)
    prompts = pad_prompts(ROWS, 0, lm.device)
    generator = torch.Generator().manual_seed(3)
    donors = torch.randn((4, 3, 32), generator=generator)
    columns = prompts.columns + torch.arange(6).expand(3, -1)
    writes = [
        ColumnWrite(layer, columns[:, layer + 1, None], donors[layer][:, None])
        for layer in range(4)
    ]
    late = copies(prompts, (FIRST_LAYER, 0, 1, 2, 3, 3))
    early = replace(late, first_layer=(FIRST_LAYER,) * 6)
    read = torch.cat([last(prompts), columns], dim=1)
    found = forward(lm, prompts, late, read, writes=writes).final
    expected = forward(lm, prompts, early, read, writes=writes).final
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    unpatched = found[:, 0]
    torch.testing.assert_close(found[:, 1], unpatched, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[:, 6], unpatched, rtol=1e-5, atol=1e-5)
    for layer in range(4):
        assert (found[:, layer + 2] - unpatched).abs().amax(dim=-1).min() > 1e-2


def test_a_write_behind_the_last_layer_is_normed_and_read(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    value = torch.randn((3, 32), generator=torch.Generator().manual_seed(0))
    write = ColumnWrite(3, last(prompts), value[:, None])
    final = forward(tiny_lm, prompts, empty_tail(prompts), last(prompts), writes=[write]).final
    torch.testing.assert_close(final[:, 0], tiny_lm.final_norm()(value))


def test_a_write_replaces_one_column_of_each_row_behind_its_layer_only(
    tiny_lm: LanguageModel,
) -> None:
    """Earlier columns and layers keep their states; the written state is what the next layer
    starts from.
    """
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    every = torch.arange(prompts.columns).expand(prompts.rows, -1)
    at = prompts.column_of(torch.tensor([4, 1, 6]))
    value = torch.full((3, 32), 0.5)
    plain = forward(tiny_lm, prompts, empty_tail(prompts), every, record=every).recorded
    patched = forward(
        tiny_lm,
        prompts,
        empty_tail(prompts),
        every,
        record=every,
        writes=[ColumnWrite(1, at[:, None], value[:, None])],
    ).recorded
    assert plain is not None
    assert patched is not None
    assert torch.equal(patched[:, :2], plain[:, :2])
    for row, column in enumerate(at.tolist()):
        torch.testing.assert_close(patched[row, 2:, :column], plain[row, 2:, :column])
        changed = (patched[row, 2:, column:] - plain[row, 2:, column:]).abs().amax(dim=-1)
        assert changed.min() > 1e-4


def test_the_last_of_two_writes_to_a_place_stands(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    column = last(prompts)
    first, second = torch.ones((3, 1, 32)), torch.arange(96.0).reshape(3, 1, 32)
    both = [ColumnWrite(2, column, first), ColumnWrite(2, column, second)]
    tail = empty_tail(prompts)
    assert torch.equal(
        forward(tiny_lm, prompts, tail, last(prompts), writes=both).final,
        forward(tiny_lm, prompts, tail, last(prompts), writes=both[1:]).final,
    )


def test_late_columns_copy_the_unwritten_source(tiny_lm: LanguageModel) -> None:
    """A write to the source at the copy's first layer does not reach the copy, which was taken
    before it.
    """
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    read = torch.full((3, 1), prompts.columns)
    tail = copies(prompts, (3,))
    write = ColumnWrite(3, last(prompts), torch.ones((3, 1, 32)))
    plain = forward(tiny_lm, prompts, empty_tail(prompts), last(prompts)).final
    assert torch.equal(forward(tiny_lm, prompts, tail, read, writes=[write]).final, plain)


def test_a_filled_cache_continues_the_prompt(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS[:1], 0, tiny_lm.device)
    cache = forward(
        tiny_lm, prompts, empty_tail(prompts), last(prompts), cache=DynamicCache()
    ).cache
    assert cache.get_seq_length() == 10
    with torch.no_grad():
        step = tiny_lm.decoder()(
            input_ids=torch.tensor([[40]]), past_key_values=cache
        ).last_hidden_state
        whole = tiny_lm.decoder()(input_ids=torch.tensor([[*ROWS[0], 40]])).last_hidden_state[
            :, -1:
        ]
    torch.testing.assert_close(step, whole)


def test_hooks_are_gone_after_success_and_failure(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    forward(tiny_lm, prompts, copies(prompts, (0, 2)), last(prompts), record=last(prompts))
    beyond = ColumnWrite(1, torch.full((3, 1), 99), torch.zeros((3, 1, 32)))
    with pytest.raises(IndexError):
        forward(tiny_lm, prompts, copies(prompts, (0, 2)), last(prompts), writes=[beyond])
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in tiny_lm.layers())


@pytest.mark.parametrize(
    ("layer", "value", "message"),
    [
        (1, torch.zeros((3, 31)), r"\(3, 1, 32\), got \(3, 1, 31\).*models of the same width"),
        (1, torch.zeros((2, 32)), r"got \(2, 1, 32\)"),
        (4, torch.zeros((3, 32)), "Layer 4 does not exist; the model has layers 0 to 3"),
        (-1, torch.zeros((3, 32)), "Layer -1 does not exist"),
    ],
)
def test_mistaken_writes_are_refused(
    tiny_lm: LanguageModel, layer: int, value: torch.Tensor, message: str
) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    with pytest.raises(WorkbenchError, match=message):
        forward(
            tiny_lm,
            prompts,
            empty_tail(prompts),
            last(prompts),
            writes=[ColumnWrite(layer, last(prompts), value[:, None])],
        )


def test_a_first_layer_beyond_the_last_is_refused(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    with pytest.raises(WorkbenchError, match="appended after layer 4; the model has layers 0 to 3"):
        forward(tiny_lm, prompts, copies(prompts, (4,)), last(prompts))


def test_a_cache_and_late_columns_exclude_each_other(tiny_lm: LanguageModel) -> None:
    prompts = pad_prompts(ROWS, 0, tiny_lm.device)
    with pytest.raises(WorkbenchError, match="cache can only be kept"):
        forward(tiny_lm, prompts, copies(prompts, (1,)), last(prompts), cache=DynamicCache())


@pytest.mark.parametrize("family", ["falcon_h1", "qwen3_next"])
def test_recurrent_families_are_refused_by_name_where_masks_cannot_help(
    make_tiny: MakeTiny, family: str
) -> None:
    """A single unpadded prompt is exact; packing, padding and a plain cache are not."""
    lm = make_tiny(family)
    alone, padded = pad_prompts(ROWS[:1], 0, lm.device), pad_prompts(ROWS, 0, lm.device)
    with torch.no_grad():
        own = lm.decoder()(input_ids=torch.tensor(ROWS[:1])).last_hidden_state[:, -1:]
    torch.testing.assert_close(forward(lm, alone, empty_tail(alone), last(alone)).final, own)
    reason = rf"{family}: its .*(Mamba|recurrent)"
    with pytest.raises(WorkbenchError, match=reason):
        forward(lm, alone, copies(alone, (FIRST_LAYER,)), last(alone))
    with pytest.raises(WorkbenchError, match=reason):
        forward(lm, padded, empty_tail(padded), last(padded))
    with pytest.raises(WorkbenchError, match=reason):
        forward(lm, alone, empty_tail(alone), last(alone), cache=DynamicCache())
