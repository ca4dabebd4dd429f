from __future__ import annotations

from collections.abc import Callable

import torch

from workbench.models import LanguageModel
from workbench.trace.edits import ColumnWrite, Recording, hook_transforms, place
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]
HIDDEN = torch.arange(2 * 3 * 32, dtype=torch.float32).reshape(2, 3, 32)


def test_the_input_of_a_layer_is_the_output_of_the_one_before() -> None:
    assert place(3, "resid_pre") == place(2, "resid_post") == (2, "resid_post")
    assert place(0, "resid_pre") == (0, "resid_pre")
    assert place(3, "attn_out") == (3, "attn_out")


def test_recorded_then_appended_then_written(tiny_lm: LanguageModel) -> None:
    """What is recorded is what was there; what goes on holds the new column and the write, the
    input stays as it was.
    """
    columns = torch.tensor([[0], [1]])
    recording = Recording(columns, (Site(1), Site(2, "resid_pre")), {})
    write = ColumnWrite(1, torch.tensor([[3], [1]]), torch.full((2, 1, 32), -1.0))
    before = HIDDEN.clone()
    found = hook_transforms(
        tiny_lm, {1: lambda hidden: torch.cat([hidden, hidden[:, :1]], dim=1)}, recording, [write]
    )
    assert set(found) == {(1, "resid_post")}
    out = found[1, "resid_post"](HIDDEN)
    assert torch.equal(HIDDEN, before)
    assert out.shape == (2, 4, 32)
    assert (out[0, 3] == -1).all()
    assert (out[1, 1] == -1).all()
    assert torch.equal(out[1, 3], HIDDEN[1, 0])
    for states in recording.stacked(torch.device("cpu")).unbind(1):
        assert torch.equal(states[:, 0], torch.stack([HIDDEN[0, 0], HIDDEN[1, 1]]))


def test_a_multiplied_component_is_recorded_and_written_in_units_of_the_stream(
    make_tiny: MakeTiny,
) -> None:
    lm = make_tiny("granite", residual_multiplier=0.5)
    recording = Recording(torch.zeros((2, 1), dtype=torch.long), (Site(0, "mlp_out"),), {})
    write = ColumnWrite(
        0, torch.ones((2, 1), dtype=torch.long), torch.full((2, 1, 32), 3.0), "mlp_out"
    )
    out = hook_transforms(lm, {}, recording, [write])[0, "mlp_out"](HIDDEN)
    assert torch.equal(recording.states[Site(0, "mlp_out")], HIDDEN[:, :1] / 2)
    assert (out[:, 1] == 6).all()


def test_additions_to_one_column_add_up_and_only_named_rows_change(tiny_lm: LanguageModel) -> None:
    twice = ColumnWrite(
        0, torch.tensor([[2, 2]]), torch.ones((1, 2, 32)), add=True, only=torch.tensor([1])
    )
    out = hook_transforms(tiny_lm, {}, None, [twice])[0, "resid_post"](HIDDEN)
    assert torch.equal(out[1, 2], HIDDEN[1, 2] + 2)
    assert torch.equal(out[0], HIDDEN[0])


def test_heads_are_written_one_by_one(tiny_lm: LanguageModel) -> None:
    write = ColumnWrite(
        0,
        torch.tensor([[0, 1]] * 2),
        torch.full((2, 2, 8), 7.0),
        "head_out",
        (Site(0, "head_out", 3), Site(0, "head_out", 0)),
    )
    out = hook_transforms(tiny_lm, {}, None, [write])[0, "head_out"](HIDDEN)
    changed = (out != HIDDEN).reshape(2, 3, 4, 8).all(dim=-1)
    assert changed.nonzero().tolist() == [[0, 0, 3], [0, 1, 0], [1, 0, 3], [1, 1, 0]]
