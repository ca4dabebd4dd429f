"""Run by torchrun in every process of ``test_tensor_parallel.py``: the same calls as there, on a
model split over all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from workbench.models import LanguageModel, derive_architecture
from workbench.models.validate import validate
from workbench.trace import Patch, Site, Subspace, patch_branches, record

HEADS = [
    *(Site(1, "head_out", head) for head in range(4)),
    Site(1, "query", 3),
    Site(2, "key", 0),
    Site(0, "value", 1),
    # Half of the window is in either process.
    Site(1, "neuron", 28, 8),
]
STREAM = [
    Site(2, "resid_pre"),
    Site(2, "attn_out"),
    Site(2, "resid_mid"),
    Site(2, "mlp_out"),
    Site(2),
]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [20, 21, 22, 23]]
LENGTHS = torch.tensor([10, 4])


def results(
    lm: LanguageModel, heads: torch.Tensor, states: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Recordings of heads and stream, and every one of them patched in one pass and in several."""
    at = (LENGTHS - 2)[:, None].tolist()
    draw = torch.Generator().manual_seed(3)
    branches = [[Patch(site, LENGTHS - 1, heads[:, i])] for i, site in enumerate(HEADS)]
    branches += [[Patch(site, LENGTHS - 2, states[:, i])] for i, site in enumerate(STREAM)]
    spans = {width: Subspace(torch.randn((width, 3), generator=draw)) for width in (8, 32)}
    for sites, values in ((HEADS, heads), (STREAM, states)):
        branches += [
            [Patch(site, LENGTHS - 1, values[:, i], "within", spans[values.shape[-1]], 0.5)]
            for i, site in enumerate(sites)
        ]
    out = {"heads": record(lm, ROWS, at, HEADS), "stream": record(lm, ROWS, at, STREAM)}
    for name, budget in (("one", 1000), ("several", 30)):
        patched = patch_branches(
            lm, ROWS, branches, lambda logits: logits[:, :50], tokens_per_forward=budget
        )
        out[f"{name}.base"], out[f"{name}.patched"] = patched.base, patched.patched
    return {name: tensor.contiguous() for name, tensor in out.items()}


def main(model: Path, donors: Path, target: Path) -> None:
    torch.set_num_threads(1)
    split = AutoModelForCausalLM.from_pretrained(
        model, tp_plan="auto", attn_implementation="sdpa"
    ).eval()
    split.requires_grad_(False)
    lm = LanguageModel(
        split, AutoTokenizer.from_pretrained(model), derive_architecture(split), "split", "split"
    )
    validate(lm)
    assert split.model.layers[0].self_attn.o_proj.weight.to_local().shape == (32, 16)
    given = load_file(donors)
    save_file(
        results(lm, given["heads"], given["stream"]), target / f"{dist.get_rank()}.safetensors"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
