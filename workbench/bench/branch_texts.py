"""Measure what texts under patches cost together, relative to one by one.

Together is :func:`workbench.patch.generation.generate_branches`: every prompt with every layer's
state at its last token replaced, and unpatched, TEXT_TOKENS tokens each. One by one is what one
would write by hand: ``model.generate`` of the host library, with its cache of keys and values, on
one prompt with one hook. That takes long for all of them, so a few drawn at random are written
that way and their seconds multiplied; *estimated*. The same texts say whether both write the same.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
from torch import Tensor

from workbench.bench.inputs import BenchInputs
from workbench.bench.timing import alternate, ratio, spread
from workbench.models.layer_output import hidden_of, in_place_of
from workbench.patch.generation import BranchTexts, generate_branches

TEXT_TOKENS = 16
SAMPLED = 6


def branch_texts(bench_inputs: BenchInputs, repeats: int) -> dict[str, Any]:
    """Measure the ratio of texts one by one to texts in one batch; a round of both comes first and
    is not timed.
    """
    lm, rows = bench_inputs.lm, bench_inputs.rows
    branches = bench_inputs.layers(range(lm.n_layers))
    count = rows * lm.n_layers
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    pairs = [divmod(number, lm.n_layers) for number in sorted(order[:SAMPLED].tolist())]
    together: list[BranchTexts] = []
    alone: list[list[list[int]]] = []
    times = alternate(
        {
            "together": lambda: together.append(
                generate_branches(lm, bench_inputs.prompts, branches, limit=TEXT_TOKENS)
            ),
            "alone": lambda: alone.append([_alone(bench_inputs, *pair) for pair in pairs]),
        },
        repeats,
    )
    scale = count / len(pairs)
    same = [
        list(together[-1].patched[row][layer][0].tokens) == text
        for (row, layer), text in zip(pairs, alone[-1], strict=True)
    ]
    return {
        **spread(
            "texts_alone_over_together",
            [scale * each for each in ratio(times, "alone", "together")],
        ),
        "texts_alone_over_together.estimated": True,
        "texts.count": count,
        "texts.tokens": TEXT_TOKENS,
        "texts.alone_measured": len(pairs),
        "texts.equal": sum(same),
        "texts.repeats": repeats,
        "seconds.texts": statistics.median(times["together"]),
    }


def _alone(bench_inputs: BenchInputs, row: int, layer: int) -> list[int]:
    """Return the tokens that the host library generates after one prompt with one state replaced in
    the pass over the prompt.
    """
    lm, donor = bench_inputs.lm, bench_inputs.donors[row, layer, -1]
    streams = lm.architecture.streams

    def replaced(module: Any, args: Any, output: Any) -> Any:
        hidden: Tensor = hidden_of(output, streams)
        if hidden.shape[1] < bench_inputs.tokens:
            return output
        changed = hidden.clone()
        changed[:, -1] = donor.to(changed)
        return in_place_of(output, changed, streams)

    ids = torch.tensor([bench_inputs.prompts[row]], device=lm.device)
    handle = lm.layers()[layer].register_forward_hook(replaced)
    try:
        with torch.no_grad():
            found = lm.base().generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=TEXT_TOKENS,
                do_sample=False,
                pad_token_id=lm.tokenizer.pad_token_id,
            )
    finally:
        handle.remove()
    return found[0, ids.shape[1] :].tolist()
