"""Which part of a model lies where, planned without any accelerator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.loading.device_map import memory_bounds, plan_device_map
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "gpt2"])
@pytest.mark.parametrize("share", [0.45, 0.6, 0.8, 1.1])
def test_layers_are_whole_in_order_and_within_bounds(
    make_tiny: MakeTiny, family: str, share: float
) -> None:
    """However much the first device takes, every part lies on one device, and passes cross once."""
    lm = make_tiny(family, num_hidden_layers=8)
    weights = dict(lm.model.named_parameters())
    total = sum(4 * weight.numel() for weight in weights.values())
    bounds = {"0": str(int(share * total)), "1": str(10 * total)}
    places = plan_device_map("tiny", lm.model.config, torch.float32, bounds)

    def place_of(name: str) -> int:
        found = [at for path, at in places.items() if not path or f"{name}.".startswith(f"{path}.")]
        assert len(found) == 1
        return int(found[0])

    layers = [place_of(f"{lm.architecture.layers}.{number}") for number in range(lm.n_layers)]
    assert layers == sorted(layers)
    on_first = sum(4 * weight.numel() for name, weight in weights.items() if place_of(name) == 0)
    assert on_first <= share * total
    assert place_of(lm.architecture.embedding) == 0
    if family != "gpt2":
        assert place_of(f"{lm.architecture.decoder}.rotary_emb") == 0


def test_weights_without_room_are_refused(make_tiny: MakeTiny) -> None:
    config = make_tiny(num_hidden_layers=8).model.config
    with pytest.raises(WorkbenchError, match=r"no room for model\..* set model.placement=stream"):
        plan_device_map("tiny", config, torch.float32, {"0": "100KB", "1": "100KB"})


def test_a_name_that_is_no_device_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="'gpu0', which is no device"):
        memory_bounds({"gpu0": "1GB"})
    with pytest.raises(WorkbenchError, match="'much', which is no size"):
        memory_bounds({"0": "much"})


def test_without_accelerators_all_lies_on_the_processor(tiny_folder: Path, tmp_path: Path) -> None:
    options = {"precision": "float32", "cache_dir": tmp_path}
    lm = load_model(str(tiny_folder), placement="auto", max_memory={"cpu": "1GB"}, **options)
    whole = load_model(str(tiny_folder), device="cpu", **options)
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(lm.model(ids).logits, whole.model(ids).logits)
