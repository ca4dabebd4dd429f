"""Run by torchrun in every process of ``test_tensor_parallel.py``: answers, loop, packed sweep,
recorded states and a training of a model, split over all processes or, in one, whole.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from tests.support.trainings import losses, train_tiny
from workbench.elicit.answer import Limits
from workbench.elicit.ask import ask_texts
from workbench.elicit.formats import format_named
from workbench.files.processes import process_number
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.trace import Patch, Site, patch_branches, record
from workbench.trace.hooked_loop import loop_branches

ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23]]
LAST = torch.tensor([9, 3])
LIMITS = Limits(**dict.fromkeys(Limits.__dataclass_fields__, 5))


def results(lm: LanguageModel, folder: Path) -> dict[str, torch.Tensor]:
    """Everything that a split model must do as a whole one."""
    draw = torch.Generator().manual_seed(3)
    branches = [
        [Patch(Site(layer), LAST, torch.randn(2, lm.width, generator=draw))]
        for layer in range(lm.n_layers)
    ]
    packed = patch_branches(lm, ROWS, branches, lambda x: x[:, :50], tokens_per_forward=500)
    looped = loop_branches(lm, ROWS, branches, lambda x: x[:, :50], tokens_per_forward=50)
    sites = [Site(layer) for layer in range(lm.n_layers)]
    questions = [f"What is {a} plus {b}?" for a in range(2) for b in range(2)]
    asked = ask_texts(
        lm,
        questions,
        format_named("percent"),
        limits=LIMITS,
        tokens_per_forward=300,
        record=("confidence",),
    )
    answers = "\n".join(asked.table["answer"]).encode()
    tuned, log = train_tiny(lm, folder / "conversation")
    sweep = patch_branches(tuned, ROWS, branches, lambda x: x[:, :50], tokens_per_forward=500)
    out = {
        "packed": packed.patched,
        "looped": looped.patched,
        "states": record(lm, ROWS, (LAST - 1)[:, None].tolist(), sites),
        "scale": torch.from_numpy(np.asarray(asked.distribution)),
        "asked_states": torch.from_numpy(np.asarray(asked.states)),
        "answers": torch.tensor(list(answers)),
        "losses": torch.tensor(losses(log)),
        "tuned": sweep.patched,
    }
    return {name: tensor.contiguous() for name, tensor in out.items()}


def main(model: str, target: Path) -> None:
    torch.set_num_threads(1)
    lm = load_model(model, placement="tensor", precision="float32", cache_dir=target / "cache")
    weight = lm.layers()[0].get_submodule(str(lm.architecture.attention_output)).weight
    assert weight.to_local().shape[1] * 2 == weight.shape[1]
    own = target / str(process_number())
    save_file(results(lm, own), target / f"{process_number()}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
