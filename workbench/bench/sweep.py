"""How much a packed all-layer sweep costs, as a ratio to one plain forward of the same batch in the same process.

Both read one next-token distribution per prompt and layer or per prompt: the sweep patches the last token behind every
layer and returns all patched logits of chosen tokens, the plain forward returns the unpatched ones. Repeats alternate
between the two so that a machine whose speed drifts slows both. Ratios are medians over repeats.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from workbench.elicit.trie import NumberTrie, build_trie
from workbench.models import LanguageModel, load_model
from workbench.models.unembed import unembed_reduced
from workbench.patch.sweep import loop_sweep, packed_sweep
from workbench.progress import track
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.record import record_states


def bench_sweep(model: str, *, rows: int, tokens: int, repeats: int, with_loop: bool) -> dict[str, Any]:
    """Time plain forward, packed sweep and, if asked, the loop of hooked forwards.

    Returns:
        ``packed_over_forward``, with ``.low`` and ``.high`` over repeats, ``loop_over_packed`` if measured, the
        largest difference between packed and loop, and what was measured.
    """
    lm = load_model(model)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(10, lm.config.vocab_size - 10, (rows, tokens), generator=generator).tolist()
    trie = build_trie([[11], [12]], [0, 1])
    positions = [tokens - 1] * rows
    layers = list(range(lm.n_layers))
    states = record_states(lm, prompts, [[p] for p in positions])[:, :, 0]
    donors = states.roll(1, dims=0)
    methods: dict[str, Callable[[], Any]] = {
        "forward": lambda: plain_forward(lm, prompts, trie),
        "packed": lambda: packed_sweep(lm, prompts, trie, positions, layers, donors),
    }
    times = alternate(methods, repeats)
    ratios = [p / f for p, f in zip(times["packed"], times["forward"], strict=True)]
    result: dict[str, Any] = {
        "packed_over_forward": statistics.median(ratios),
        "packed_over_forward.low": min(ratios),
        "packed_over_forward.high": max(ratios),
        "rows": rows,
        "tokens": tokens,
        "layers": lm.n_layers,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "device": str(lm.device),
        "repeats": repeats,
        "seconds.forward": statistics.median(times["forward"]),
    }
    if with_loop:
        looped = alternate({"loop": lambda: loop_sweep(lm, prompts, trie, positions, layers, donors)}, 1)["loop"][0]
        packed = packed_sweep(lm, prompts, trie, positions, layers, donors).patched
        reference = loop_sweep(lm, prompts, trie, positions, layers, donors).patched
        result["loop_over_packed"] = looped / statistics.median(times["packed"])
        result["packed_vs_loop"] = float(abs(packed - reference).max())
    return result


def plain_forward(lm: LanguageModel, prompts: list[list[int]], trie: NumberTrie) -> torch.Tensor:
    """One unpatched forward of the batch with the same readout at the last token."""
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    last = torch.full((batch.rows, 1), batch.columns - 1, device=lm.device)
    result = forward(lm, batch, empty_tail(batch), last)
    return unembed_reduced(lm, result.final, lambda logits: logits.log_softmax(dim=-1)[:, [11, 12]])


def alternate(methods: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each method per repeat, methods taking turns, after one untimed round."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for repeat in track(range(repeats + 1), "timing"):
        for name, method in methods.items():
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            started = time.perf_counter()
            method()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return times
