"""The check that a packed pass gives what plain forwards give finds what is planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import workbench.loading.packing_check
import workbench.trace.masks
from workbench.errors import WorkbenchError
from workbench.loading.packing_check import Way, check_packing
from workbench.loading.short_windows import short_windows, unknown_windows
from workbench.loading.verify import checks_of, verify
from workbench.models import LanguageModel
from workbench.trace.packed import patch_branches

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize(
    ("family", "masks"), [("llama", "one"), ("gemma2", "by_layer_type"), ("mistral", "one")]
)
def test_the_form_of_masks_is_found(make_tiny: MakeTiny, family: str, masks: str) -> None:
    assert check_packing(make_tiny(family)) == Way(masks, True)


def test_a_window_that_our_masks_forget_is_noticed(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny("mistral", sliding_window=400)  # far beyond the check's prompts
    assert check_packing(lm) == Way("one", True)
    monkeypatch.setattr(workbench.trace.masks, "WINDOWS", ("sliding_window_size",))
    assert "logits differ by" in check_packing(lm).why_not


def test_positions_by_column_are_noticed(tiny_lm: LanguageModel) -> None:
    """A model that counts its columns gives other numbers under padding and to packed copies."""
    inner = tiny_lm.base().model.forward

    def forward(position_ids: Any = None, **options: Any) -> Any:
        return inner(**options)

    tiny_lm.base().model.forward = forward
    assert "logits differ by" in check_packing(tiny_lm).why_not


def test_an_error_in_a_packed_pass_is_a_reason(tiny_lm: LanguageModel) -> None:
    inner = tiny_lm.base().model.forward

    def forward(attention_mask: Any = None, **options: Any) -> Any:
        if attention_mask is not None:
            raise TypeError("no mask of four dimensions\nsecond line")
        return inner(attention_mask=attention_mask, **options)

    tiny_lm.base().model.forward = forward
    why = check_packing(tiny_lm).why_not
    assert why.endswith("(TypeError: no mask of four dimensions)")


def test_a_model_that_reads_other_rows_is_refused(tiny_lm: LanguageModel) -> None:
    layer = tiny_lm.base().model.layers[1]
    inner = layer.forward

    def forward(hidden_states: torch.Tensor, **options: Any) -> torch.Tensor:
        return inner(hidden_states, **options) + hidden_states.mean(dim=0, keepdim=True)

    layer.forward = forward
    with pytest.raises(WorkbenchError, match="by no method here"):
        check_packing(tiny_lm)


@pytest.mark.parametrize("layer", range(5))
@pytest.mark.parametrize("kept", [1, 2])
def test_a_write_that_is_lost_in_any_layer_is_noticed(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch, layer: int, kept: int
) -> None:
    """Each layer is the lower or the upper of two in a branch; at least its write at the prompt's
    last token is seen in the logits, whatever the other layer writes.
    """
    lm = make_tiny("llama", num_hidden_layers=5)

    def losing(lm: LanguageModel, prompts: Any, branches: Any, *args: Any, **options: Any) -> Any:
        fewer = []
        for branch in branches:
            here = [patch for patch in branch if patch.site.layer == layer]
            fewer.append([patch for patch in branch if patch not in here[kept:]])
        return patch_branches(lm, prompts, fewer, *args, **options)

    monkeypatch.setattr(workbench.loading.packing_check, "patch_branches", losing)
    assert "logits differ by" in check_packing(lm).why_not


def test_layers_of_unknown_kinds_and_windows_are_not_tried(make_tiny: MakeTiny) -> None:
    lm = make_tiny()
    lm.config.layer_types = ["full_attention", "indexed_attention"] * 2
    assert check_packing(lm).why_not.startswith("its indexed_attention layers do more than masked")
    lm = make_tiny()
    lm.config.window_size = 7
    assert unknown_windows(lm) == ("window_size",)
    assert "a window of their own (window_size)" in check_packing(lm).why_not


def test_windows_are_short_for_a_moment(make_tiny: MakeTiny) -> None:
    lm = make_tiny("mistral", sliding_window=400)
    with short_windows(lm, 5) as names:
        assert names == ("sliding_window",)
        assert lm.config.sliding_window == 5
    assert lm.config.sliding_window == 400
    with short_windows(make_tiny()) as names:
        assert names == ()


def test_what_was_verified_is_listed(make_tiny: MakeTiny) -> None:
    found = {check.what: check for check in checks_of(make_tiny("gpt_neox"))}
    assert found["packing"].holds
    assert not found["resid_mid"].holds
    assert "in parallel" in found["resid_mid"].found


def test_components_that_are_not_where_they_seem_are_missing(tiny_lm: LanguageModel) -> None:
    row = replace(tiny_lm.architecture, mid="input_layernorm", value="self_attn.k_proj")
    found = verify(replace(tiny_lm, architecture=row)).architecture
    assert set(found.missing) >= {"resid_mid", "value"}
    assert "no shares of its values" in found.missing["value"]
    assert "attn_out" not in found.missing
