"""A model that is loaded split over two processes (gloo, CPU), with two key-value heads in each,
answers, is patched, recorded and taught as the whole one is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.launched import TORCHRUN, launch
from tests.support.scripts import load_script
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]
WORKER = Path(__file__).with_name("tensor_parallel_worker.py")


def test_two_processes_agree_with_one(make_tiny: MakeTiny, tmp_path: Path) -> None:
    """Every key-value head has a query head of its own, two and two in the processes."""
    lm, model = make_tiny("qwen2", num_key_value_heads=4), tmp_path / "model"
    lm.model.save_pretrained(model)
    lm.tokenizer.save_pretrained(model)
    launch(TORCHRUN, WORKER, model, tmp_path)
    whole = load_model(str(model), device="cpu", precision="float32", cache_dir=tmp_path / "cache")
    expected = load_script(WORKER).results(whole, tmp_path / "whole")
    for rank in range(2):
        found = load_file(tmp_path / f"{rank}.safetensors")
        assert set(found) == set(expected)
        for name, tensor in expected.items():
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )
    taught = [
        load_file(tmp_path / name / "conversation" / "adapter" / "adapter_model.safetensors")
        for name in ("0", "1", "whole")
    ]
    for name, weight in taught[2].items():
        assert torch.equal(taught[0][name], taught[1][name])
        torch.testing.assert_close(taught[0][name], weight, rtol=1e-3, atol=1e-4)


def test_one_process_is_told_how_to_start_several(tiny_folder: Path) -> None:
    with pytest.raises(WorkbenchError, match="start it as 'torchrun --nproc-per-node 2"):
        load_model(str(tiny_folder), placement="tensor", precision="float32")


@pytest.mark.parametrize(
    ("processes", "options", "message"),
    [
        ("3", {}, "num_attention_heads=4, which do not divide over 3 processes"),
        ("4", {}, "num_key_value_heads=2, which do not divide over 4 processes"),
        ("2", {"precision": "bfloat16"}, "set model.precision=float32"),
    ],
)
def test_what_cannot_be_split_is_refused(
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: str,
    options: dict[str, str],
    message: str,
) -> None:
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", processes)):
        monkeypatch.setenv(name, value)
    with pytest.raises(WorkbenchError, match=message):
        load_model(str(tiny_folder), placement="tensor", **options)
