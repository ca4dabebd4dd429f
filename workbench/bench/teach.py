"""Measure the cost of training relative to TRL's SFTTrainer: ``workbench bench teach``.

Four trainings take turns on one machine in one process: the workbench and TRL (see
:mod:`workbench.bench.trainers`), each with an adapter in all layers (``full``, ``trl``) and with
one that begins higher up (``partial``, ``trl_upper``). A round is one training of each, with
another seed each round; ratios are formed within rounds. All compute in float32.

Parts: ``speed``; ``exact``, which trains without dropout and gives the largest difference of any
step's loss between the workbench and TRL; ``memory``, the peak of each training in a fresh process
(:mod:`workbench.bench.teach_memory`).

``loss.gap`` is the mean over rounds of the difference of the last epoch's mean loss, full minus
TRL. Both draw different dropout, so it is given with ``loss.seed_noise``, the standard deviation of
that loss over the rounds' seeds. With few rounds the noise is known only roughly. Ratios hold for
this model and these lengths: what TRL spends on the logits of every position weighs less in a
larger model, and what the shared beginning of the conversations saves is their share of the tokens.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch

from workbench.bench.teach_memory import peaks
from workbench.bench.timing import ratio, spread
from workbench.bench.trainer_kinds import KINDS, Kind, run_kind, settings_of
from workbench.bench.trainers import TRL_ATTENTION, TRL_MISSING, Trained, trl_installed
from workbench.bench.training_examples import make_examples
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, Precision
from workbench.models.quantisation import require_plain_weights
from workbench.progress import task
from workbench.teach.examples import Example

PARTS = ("speed", "exact", "memory")
EXACT_STEPS = 4
RATIOS = {
    "trl_over_full": ("trl", "full"),
    "trl_over_partial": ("trl_upper", "partial"),
    "trl_all_layers_over_partial": ("trl", "partial"),
    "full_over_partial": ("full", "partial"),
}
GAPS = {"loss.gap": ("full", "trl"), "loss.partial_gap": ("partial", "trl_upper")}


@dataclass(frozen=True)
class TeachBench:
    """The results. ``values``: flat keys, None for TRL's where it is not installed; ``rounds`` of
    each kind; ``notes``: what to know.
    """

    values: dict[str, Any]
    rounds: dict[str, list[Trained]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def bench_teach(
    model: str,
    *,
    rows: int,
    epochs: int,
    rounds: int,
    start_layer: int | None = None,
    parts: Sequence[str] = PARTS,
    precision: Precision = "float32",
) -> TeachBench:
    """Train on ``rows`` examples ``epochs`` times, ``rounds`` times each way.

    Args:
        start_layer: where the partial adapter begins; None: at half depth.

    Raises:
        WorkbenchError: before the model is loaded for unknown parts, and for rows that do not fill
            whole batches.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise WorkbenchError(
            f"Unknown part {(unknown or [''])[0]!r}; parts are {', '.join(PARTS)}."
        )
    batch = settings_of(KINDS["full"], 0).batch_size
    if rows % batch:
        raise WorkbenchError(
            f"{rows} rows do not fill whole batches of {batch}; ask for a multiple of {batch}."
        )
    lm = load_model(model, precision=precision)
    require_plain_weights(lm, "The comparison of trainers", "give a plain checkpoint")
    first = lm.n_layers // 2 if start_layer is None else start_layer
    examples = make_examples(lm, rows)
    kinds = {name: kind for name, kind in KINDS.items() if trl_installed() or not kind.trl}
    values: dict[str, Any] = {
        "model": lm.name,
        "layers": lm.n_layers,
        "start_layer": first,
        "dtype": str(lm.dtype).removeprefix("torch."),
        "precision": lm.precision,
        "device": str(lm.device),
        "threads": torch.get_num_threads(),
        "load.before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "trl": version("trl") if trl_installed() else None,
        "trl.attention": TRL_ATTENTION,
        "rows": rows,
        "epochs": epochs,
        "rounds": rounds,
        "steps": epochs * rows // batch,
        "tokens_per_row": statistics.mean(len(e.prompt) + len(e.places) for e in examples),
        "settings": settings_of(KINDS["full"], first, epochs=epochs).model_dump(mode="json"),
    }
    timed: dict[str, list[Trained]] = {}
    if "speed" in parts:
        timed = _rounds(lm, examples, kinds, first, epochs, rounds)
        values |= _speed(timed, epochs)
    if "exact" in parts and trl_installed():
        values |= _exact(lm, examples[: EXACT_STEPS * batch], first)
    del lm
    if "memory" in parts:
        values |= memory_ratios(peaks(model, list(kinds), rows, first, precision))
    return TeachBench(values, timed, [] if trl_installed() else [TRL_MISSING])


def _rounds(
    lm: LanguageModel,
    examples: Sequence[Example],
    kinds: Mapping[str, Kind],
    first: int,
    epochs: int,
    rounds: int,
) -> dict[str, list[Trained]]:
    """Run the trainings of every kind in turns. One step of each beforehand pays for one-time
    costs.
    """
    batch = settings_of(KINDS["full"], first).batch_size
    found: dict[str, list[Trained]] = {name: [] for name in kinds}
    with task("timing trainings", (rounds + 1) * len(kinds)) as progress:
        for turn in range(-1, rounds):
            for name, kind in kinds.items():
                settings = settings_of(kind, first, epochs=1 if turn < 0 else epochs)
                trained = run_kind(
                    kind, lm, examples[:batch] if turn < 0 else examples, settings, max(turn, 0)
                )
                if turn >= 0:
                    found[name].append(trained)
                progress.advance()
    return found


def _speed(timed: Mapping[str, list[Trained]], epochs: int) -> dict[str, Any]:
    """Return the ratios of seconds within rounds, and the losses of the last epoch."""
    times = {name: [each.seconds for each in trained] for name, trained in timed.items()}
    last = {
        name: [_last_epoch(each.losses, epochs) for each in trained]
        for name, trained in timed.items()
    }
    out: dict[str, Any] = {
        f"seconds.{name}": statistics.median(taken) for name, taken in times.items()
    }
    for key, (above, below) in RATIOS.items():
        out |= (
            spread(key, ratio(times, above, below))
            if above in times and below in times
            else {key: None}
        )
    out |= {f"loss.{name}": statistics.mean(values) for name, values in last.items()}
    for key, (one, other) in GAPS.items():
        gaps = [a - b for a, b in zip(last[one], last[other], strict=True)] if other in last else []
        out[key] = statistics.mean(gaps) if gaps else None
    out["loss.seed_noise"] = statistics.stdev(last["full"]) if len(last["full"]) > 1 else None
    return out


def _last_epoch(losses: Sequence[float], epochs: int) -> float:
    return statistics.mean(losses[-(len(losses) // epochs) :])


def _exact(lm: LanguageModel, examples: Sequence[Example], first: int) -> dict[str, Any]:
    """Return the largest difference of a step's loss without dropout. After the first step it also
    depends on the gradients.
    """
    out: dict[str, Any] = {"exact.steps": EXACT_STEPS}
    for key, (one, other) in {
        "exact.full_gap": ("full", "trl"),
        "exact.partial_gap": ("partial", "trl_upper"),
    }.items():
        losses = []
        for name in (one, other):
            settings = settings_of(KINDS[name], first, epochs=1)
            plain = settings.model_copy(
                update={"lora": settings.lora.model_copy(update={"dropout": 0.0})}
            )
            losses.append(run_kind(KINDS[name], lm, examples, plain, 0).losses)
        out[key] = max(abs(a - b) for a, b in zip(*losses, strict=True))
    return out


def memory_ratios(found: Mapping[str, int]) -> dict[str, Any]:
    """Return the peaks in bytes, by kind of training, and those of the workbench over TRL's."""
    out: dict[str, Any] = {f"memory.{name}_bytes": size for name, size in found.items()}
    for ours, theirs in (("full", "trl"), ("partial", "trl_upper")):
        out[f"memory.{ours}_over_trl"] = found[ours] / found[theirs] if theirs in found else None
    return out
