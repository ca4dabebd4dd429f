"""Measure what a model costs that is read layer by layer, beside the same model in memory.

Four parts, on random weights of a stated shape:

- ``pass``: one pass over all prompts, streamed and in memory, in turns: the ratios of their seconds
  and of their processor time (``cpu``, all threads; other work of the machine moves it less), the
  largest difference of their logits, and the bytes that were read over those of the layers;
- ``memory``: the same streamed pass in a process of its own whose address space is limited to a
  share of the weights, and its largest memory;
- ``layer``: a single layer of a 70B model, streamed and in memory, and from what it reached the
  plan of the whole model's run (:mod:`workbench.bench.stream_plan`);
- ``library``: accelerate's disk offload, batch by batch, over the streamed pass.

For ``pass`` and ``layer`` the files lie in the system's memory of files, as far as it has room:
what a disk adds is bytes over its rate, and hidden where a layer's products take longer. For
``library`` they are timed there too (``warm``), and taken out of it before every pass over the
weights, as those of a model larger than memory always are. Where the products of a batch take
longer than reading the weights, no order of reading makes much of a difference. Ratios are formed
within one run. Seconds are of this machine under its load.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from workbench.bench.page_cache import forget_files
from workbench.bench.stream_checkpoint import (
    LAYER_70B,
    SHAPE_1_5B,
    StreamShape,
    open_in_memory,
    open_streamed_shape,
    write_checkpoint,
)
from workbench.bench.stream_memory import WAITING_BYTES, measure_apart
from workbench.bench.stream_plan import (
    MODEL,
    LayerTimes,
    layer_rates,
    plan_whole,
    reading_seconds,
)
from workbench.bench.timing import ratio, seconds, spread
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.progress import track
from workbench.stream.rounds import run_together
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts

PARTS = ("pass", "memory", "layer", "library")
READ = 256
"""Logits of each prompt that are compared."""
LIBRARY_BATCHES = 16
FEW_REPEATS = 3


def bench_stream(
    *,
    shape: StreamShape = SHAPE_1_5B,
    layer: StreamShape = LAYER_70B,
    prompts: int = 64,
    batches: int = 8,
    tokens: int = 32,
    layer_prompts: int = 32,
    layer_tokens: int = 150,
    layer_of: str = MODEL,
    repeats: int = 1,
    parts: Sequence[str] = PARTS,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Measure the ``parts``; return values with dotted keys.

    Args:
        shape: of the model of all parts but ``layer``.
        prompts, batches, tokens: how many prompts of how many tokens, in how many batches.
        layer_prompts, layer_tokens: the same of the single layer, in one batch for every 8 prompts.
        layer_of: the model whose run is planned from the layer, where its layers are of that shape.
        folder: where the weights are written for as long as they are needed, made where there is
            none; None for the system's temporary files.
    """
    found: dict[str, Any] = {
        "prompts": prompts,
        "tokens": tokens,
        "layers": shape.layers,
        "width": shape.width,
        "dtype": shape.dtype,
    }
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    rows = _random_rows(prompts, tokens, shape.vocabulary)
    groups = [rows[n::batches] for n in range(batches)]
    if {"pass", "memory", "library"} & set(parts):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            weights = write_checkpoint(Path(place), shape)
            found["weights_bytes"] = weights
            if "memory" in parts:
                found |= measure_apart(Path(place), shape, groups, weights)
            if "pass" in parts:
                found |= _over_memory("pass", Path(place), shape, groups, repeats)
            if "library" in parts:
                found |= _over_accelerate(Path(place), shape, rows)
    if "layer" in parts:
        rows = _random_rows(layer_prompts, layer_tokens, layer.vocabulary)
        groups = [rows[n : n + 8] for n in range(0, layer_prompts, 8)]
        with tempfile.TemporaryDirectory(dir=folder) as place:
            write_checkpoint(Path(place), layer)
            found |= _over_memory("layer", Path(place), layer, groups, repeats)
            found |= _planned(Path(place), layer, layer_of, groups, found)
    return found


def compute_device() -> torch.device:
    """Return where streamed layers compute: an accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def pass_over(lm: LanguageModel, groups: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """Return logits [prompts, READ] after the last token of every prompt, in one pass over the
    batches ``groups`` of prompts.
    """
    return torch.cat(run_together([partial(_last_logits, lm, group) for group in groups]))


def _last_logits(lm: LanguageModel, group: Sequence[Sequence[int]]) -> Tensor:
    prompts = pad_prompts(group, 0, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1)
    found = forward(lm, prompts, empty_tail(prompts), last)
    return unembed_reduced(lm, found.final[:, 0], lambda logits: logits[:, :READ])


def _random_rows(count: int, tokens: int, vocabulary: int) -> list[list[int]]:
    drawn = torch.Generator().manual_seed(0)
    return torch.randint(3, vocabulary, (count, tokens), generator=drawn).tolist()


def _over_memory(
    name: str,
    folder: Path,
    shape: StreamShape,
    groups: Sequence[Sequence[Sequence[int]]],
    repeats: int,
) -> dict[str, Any]:
    streamed, stream = open_streamed_shape(folder, shape, WAITING_BYTES, compute_device())
    resident = open_in_memory(folder, shape, streamed)
    few = [[row[:2] for row in groups[0][:1]]]
    pass_over(resident, few)  # kernels are chosen once
    difference = float((pass_over(streamed, few) - pass_over(resident, few)).abs().max())
    of_few = min(seconds(partial(pass_over, resident, few)) for _ in range(FEW_REPEATS))
    counts, of_layers = stream.weights.counts, sum(map(stream.weights.nbytes, range(shape.layers)))
    before, found = counts.bytes_read, {}

    def keep(kind: str, lm: LanguageModel) -> Callable[[], None]:
        return lambda: found.update({kind: pass_over(lm, groups)})

    # The streamed pass goes first: what the first to run pays for is in its time.
    methods = {"streamed": keep("streamed", streamed), "memory": keep("memory", resident)}
    times: dict[str, list[float]] = {kind: [] for kind in methods}
    busy: dict[str, list[float]] = {kind: [] for kind in methods}
    turns = [pair for _ in range(repeats) for pair in methods.items()]
    for kind, method in track(turns, f"timing the {name}"):
        started = time.process_time()
        times[kind].append(seconds(method))
        busy[kind].append(time.process_time() - started)
    read = (counts.bytes_read - before) / of_layers / repeats
    stream.close()
    difference = max(difference, float((found["streamed"] - found["memory"]).abs().max()))
    return {
        **spread(f"{name}.streamed_over_memory", ratio(times, "streamed", "memory")),
        **spread(f"{name}.cpu_streamed_over_memory", ratio(busy, "streamed", "memory")),
        f"{name}.memory_seconds": min(times["memory"]),
        f"{name}.few_tokens_seconds": of_few,
        f"{name}.read_over_layers": read,
        f"{name}.largest_difference": difference,
    }


def _planned(
    folder: Path,
    shape: StreamShape,
    model: str,
    groups: Sequence[Sequence[Sequence[int]]],
    found: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the rates that the layer reached, and the plan of ``model`` with them."""
    _, stream = open_streamed_shape(folder, shape, WAITING_BYTES, compute_device())
    disk, files = reading_seconds(stream, folder)
    times = LayerTimes(
        found["layer.memory_seconds"], found["layer.few_tokens_seconds"], disk, files
    )
    sizes = [(len(group), len(group[0])) for group in groups]
    rates = layer_rates(shape, stream.weights.nbytes(0), sizes, times)
    stream.close()
    return {
        "layer.operations_per_second": rates.operations,
        "layer.memory_bytes_per_second": rates.memory,
        "layer.disk_bytes_per_second": rates.disk,
        "layer.file_bytes_per_second": rates.files,
        **plan_whole(rates, shape, model),
    }


def _over_accelerate(
    folder: Path, shape: StreamShape, rows: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Compare with accelerate's disk offload of the same layers, one prompt a batch."""
    streamed, stream = open_streamed_shape(folder, shape, WAITING_BYTES, compute_device())
    groups = [[row] for row in rows[:LIBRARY_BATCHES]]
    where: Any = 0 if compute_device().type == "cuda" else "cpu"
    places: dict[str, Any] = {
        "model.embed_tokens": where,
        "model.rotary_emb": where,
        "model.norm": where,
        "lm_head": where,
        **{f"model.layers.{number}": "disk" for number in range(shape.layers)},
    }
    with tempfile.TemporaryDirectory(dir=folder) as offload:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, shape.dtype), device_map=places, offload_folder=offload
        )
        offloaded = replace(streamed, model=model.eval().requires_grad_(False))
        found: dict[str, Tensor] = {}
        ratios: dict[str, float] = {}
        for kind, forget in (("warm_", lambda: None), ("", partial(_forget_weights, folder))):

            def one_by_one(forget: Callable[[], None] = forget) -> None:
                parts = []
                for group in groups:
                    forget()
                    parts.append(_last_logits(offloaded, group))
                found["library"] = torch.cat(parts)

            def streamed_pass(forget: Callable[[], None] = forget) -> None:
                forget()
                found["streamed"] = pass_over(streamed, groups)

            taken = seconds(one_by_one)
            ratios[f"library.{kind}accelerate_over_streamed"] = taken / seconds(streamed_pass)
    stream.close()
    difference = float((found["library"] - found["streamed"]).abs().max())
    return {
        **ratios,
        "library.batches": len(groups),
        "library.largest_difference": difference,
    }


def _forget_weights(folder: Path) -> None:
    forget_files(folder.glob("*.safetensors"))
