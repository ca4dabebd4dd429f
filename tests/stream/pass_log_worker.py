"""Record states of a streamed model in a process of its own, and kill it at a layer:
``python -m tests.stream.pass_log_worker FOLDER FILL`` (-1: let it end).
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig

from workbench.models import LanguageModel, derive_architecture
from workbench.stream.gates import LayerStream
from workbench.stream.pass_log import PassLog
from workbench.stream.rounds import run_together
from workbench.stream.skeleton import build_skeleton, layers_path
from workbench.stream.spill import SpillFolder
from workbench.trace import Site, record

ROWS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22, 23], [30, 31]]


def main(folder: Path, kill_at: int) -> None:
    """Run the pass; write the states, and how often each layer was read."""
    place = folder / "weights"
    model, weights = build_skeleton(
        "tiny",
        place,
        AutoConfig.from_pretrained(place),
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    layers = list(model.get_submodule(layers_path(model, "tiny")))
    log = PassLog(folder, "tiny", 10**9)
    stream = LayerStream(layers, weights, 10**9, SpillFolder(folder), log)
    tokenizer: Any = SimpleNamespace(pad_token_id=0)
    lm = LanguageModel(model, tokenizer, derive_architecture(model), "tiny", "tiny")
    weights.counts.reads.clear()
    whole, fills = weights.fill, [0]

    def fill(layer: int, ahead: int | None) -> None:
        if fills[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        fills[0] += 1
        whole(layer, ahead)

    weights.fill = fill  # type: ignore[method-assign]
    sites = [Site(layer) for layer in range(lm.n_layers)]
    works = [partial(record, lm, [row], [[0, len(row) - 1]], sites) for row in ROWS]
    states = run_together(works)
    stream.close()
    reads = torch.tensor([weights.counts.reads.get(layer, 0) for layer in range(lm.n_layers)])
    found = {f"states.{number}": part for number, part in enumerate(states)}
    save_file({**found, "reads": reads}, folder / "found.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
