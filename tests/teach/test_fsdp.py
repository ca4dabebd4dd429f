"""A recipe under ``accelerate launch`` with the shipped configuration, in two processes that share
out the weights (FSDP2, gloo, CPU), makes the steps of one process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.launched import FSDP, launch
from tests.support.trainings import losses, train_tiny
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]
WORKER = Path(__file__).with_name("fsdp_worker.py")
SCOPES = ("conversation", "reply")


def test_two_processes_make_the_steps_of_one(tiny_folder: Path, tmp_path: Path) -> None:
    launch(FSDP, WORKER, tiny_folder, tmp_path)
    lm = load_model(
        str(tiny_folder), device="cpu", precision="float32", cache_dir=tmp_path / "cache"
    )
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for scope in SCOPES:
        tuned, log = train_tiny(lm, tmp_path / "one" / scope, scope)
        lm = tuned.with_model(tuned.model.unload())
        for rank in range(2):
            assert found[rank][scope] == pytest.approx(losses(log), abs=1e-5)
        taught = [
            load_file(tmp_path / place / scope / "adapter" / "adapter_model.safetensors")
            for place in ("one", "0")
        ]
        for name, weight in taught[0].items():
            torch.testing.assert_close(taught[1][name], weight, rtol=1e-3, atol=1e-4)


def test_batches_divide_over_processes(
    make_tiny: MakeTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny()
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "3")):
        monkeypatch.setenv(name, value)
    with pytest.raises(WorkbenchError, match=r"teach.batch_size is 2, .* over 3 processes"):
        train_tiny(lm, tmp_path)
