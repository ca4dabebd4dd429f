from __future__ import annotations

import pytest
import torch

from workbench.models import LanguageModel, computing_in, resolve_precision
from workbench.models.precision import weights_in_bfloat16

IDS = torch.arange(1, 13)[None]


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.base()(input_ids=IDS, use_cache=False).logits


def test_weights_cast_once_give_what_autocast_gives_to_the_bit(tiny_lm: LanguageModel) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = logits(tiny_lm)
    with computing_in("bfloat16", tiny_lm):
        found = logits(tiny_lm)
    assert torch.equal(found, expected)
    assert not torch.equal(logits(tiny_lm).to(found.dtype), found)


def test_weights_come_back_as_they_were_also_after_an_error(tiny_lm: LanguageModel) -> None:
    before = {name: value.clone() for name, value in tiny_lm.base().state_dict().items()}
    held = tiny_lm.layers()[0].get_submodule("mlp.down_proj")
    seen: list[torch.dtype] = []

    def fail_inside() -> None:
        with weights_in_bfloat16(tiny_lm):
            seen.extend([held.weight.dtype, tiny_lm.embedding().weight.dtype])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_inside()
    assert seen == [torch.bfloat16, torch.float32]
    after = tiny_lm.base().state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_trainable_weights_stay_in_float32(tiny_lm: LanguageModel) -> None:
    trained = tiny_lm.layers()[1].get_submodule("mlp.down_proj").weight
    trained.requires_grad_(True)
    with weights_in_bfloat16(tiny_lm):
        assert trained.dtype == torch.float32


def test_float32_changes_nothing(tiny_lm: LanguageModel) -> None:
    expected = logits(tiny_lm)
    with computing_in("float32", tiny_lm):
        assert torch.equal(logits(tiny_lm), expected)


def test_a_named_precision_is_taken_as_it_is() -> None:
    assert resolve_precision("float32", torch.device("cpu")) == "float32"
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    assert resolve_precision("auto", torch.device("cpu")) in ("float32", "bfloat16")
