"""Run by ``accelerate launch`` in every process of ``test_fsdp.py``: a training with the weights
shared out, of which the first process writes the losses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule

import workbench.teach.training
from tests.support.processor_as_accelerator import pass_for_an_accelerator
from tests.support.trainings import losses, train_tiny
from workbench.compat_processes import make_whole
from workbench.files.processes import process_number
from workbench.loading import load_model


def main(model: str, target: Path) -> None:
    pass_for_an_accelerator()
    lm = load_model(model, device="cpu", precision="float32", cache_dir=target / "cache")
    shared_out: list[int] = []

    def whole(tuned: torch.nn.Module) -> None:
        shared_out.append(sum(isinstance(module, FSDPModule) for module in tuned.modules()))
        make_whole(tuned)

    workbench.teach.training.make_whole = whole
    found: dict[str, list[float]] = {}
    for scope in ("conversation", "reply"):
        tuned, log = train_tiny(lm, target / str(process_number()) / scope, scope)
        found[scope] = losses(log)
        lm = tuned.with_model(tuned.model.unload())
        assert all(type(weight) is torch.nn.Parameter for weight in lm.base().parameters())
    assert min(shared_out) >= lm.n_layers
    (target / f"{process_number()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
