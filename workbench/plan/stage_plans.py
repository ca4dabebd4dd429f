"""Put together what each stage of a run costs: passes, tokens, operations and memory.

The order of stages is the loop's. Keys and values that a stage keeps for later ones are counted
from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.config import RunConfig
from workbench.elicit.conversation import POSITIONS
from workbench.plan.bottleneck import bottleneck_stages
from workbench.plan.forwards import Forward, Group, count_products, rounds_of
from workbench.plan.memory import (
    ADAPTER_BYTES,
    PROCESS_BYTES,
    Memory,
    peak_pass,
    recorded_states_size,
)
from workbench.plan.number_formats import NumberFormats
from workbench.plan.questions import PlannedQuestions
from workbench.plan.run_stages import PlannedRun, forwards_in, planned_stages
from workbench.plan.shape import DecoderShape
from workbench.plan.state_bytes import PROBES, READINGS, held_states, probe_bytes
from workbench.plan.teaching import assumed_targets

ADAPTER_STAGES = frozenset(
    (
        "teach",
        "teach_control",
        "elicit_tuned",
        "elicit_control",
        "probe_tuned",
        "patch",
        "attribute",
    )
)
"""Stages that need an adapter."""
IN_FLOAT32 = frozenset(("patch",))
"""Stages with passes in float32 whatever the model's precision: packed sweep and loop are compared
so.
"""
TRAINING_STAGES = frozenset(("teach", "teach_control"))
STEPS = 60
"""Steps of conjugate gradients that a probe's fits take."""


@dataclass(frozen=True, eq=False)
class StagePlan:
    """The cost of a stage.

    Attributes:
        name: of the stage.
        batches: into which its questions are cut, all kinds of work together.
        forwards: passes in their order.
        tokens: columns computed, padding included; one through half of the layers counts half.
        operations: of the passes' products, by what multiplies.
        probe_operations: of fitting probes.
        reads: layers that are read each time a streamed model is gone through.
        memory: in bytes.
        waiting: bytes that all batches hold together while a streamed model is read.
        adapted: whether an adapter acts in it.
        exact: whether passes and tokens are exact for the assumed lengths.
    """

    name: str
    batches: int
    forwards: tuple[Forward, ...]
    tokens: float
    operations: dict[str, int]
    probe_operations: float
    reads: tuple[int, ...]
    memory: Memory
    waiting: float
    adapted: bool
    exact: bool

    @property
    def total_operations(self) -> float:
        """Operations of all products."""
        return sum(self.operations.values()) + self.probe_operations

    @property
    def trains(self) -> bool:
        """Whether an adapter is trained in it."""
        return self.name in TRAINING_STAGES

    @property
    def differentiates(self) -> bool:
        """Whether it takes gradients of passes without training: a streamed model has none."""
        return not self.trains and any(each.backward for each in self.forwards)


def plan_run(
    config: RunConfig, shape: DecoderShape, formats: NumberFormats, asked: PlannedQuestions
) -> PlannedRun:
    """Return a run to be planned, with evenly spread targets."""
    targets = assumed_targets(len(asked.side("train")), config.seed)
    return PlannedRun(config, asked, shape.layers, shape.heads, formats.of_token(shape), targets)


def plan_stages(
    run: PlannedRun, shape: DecoderShape, formats: NumberFormats, bottleneck: bool = False
) -> list[StagePlan]:
    """Return the plan of every stage that costs something, in the order of the loop, and of the
    text-bottleneck analysis after it.
    """
    config = run.config
    in_layer = adapter_in_layer(config, shape, run.start)
    states, disk = recorded_states_size(
        len(run.questions),
        shape,
        run.recorded,
        config.model.recorded_bytes,
        formats.rest,
    )
    found: list[StagePlan] = []
    loop = planned_stages()
    every = {**loop, **(bottleneck_stages() if bottleneck else {})}
    caches = (run.prompt_cache, run.reply_cache)
    for name, plan in every.items():
        for cache in caches:
            cache.largest = cache.together()
        groups = plan(run)
        probes = probe_operations(run, shape) if name in PROBES else 0.0
        if not groups and not probes:
            continue
        kept = min(
            float(config.model.kv_cache_bytes),
            float(max(cache.largest for cache in caches)),
        )
        fits = probe_bytes(run, shape) if name in PROBES else 0.0
        of_pass = sum(peak_pass(forwards_in(groups), shape, formats))
        held = held_states(name, states, of_pass, loop, fits)
        found.append(
            _stage(
                name,
                groups,
                shape,
                formats,
                in_layer=in_layer,
                probes=probes,
                kept=kept,
                states=held + _frozen(run, name, shape, formats),
                disk=disk if name in READINGS else 0.0,
                exact=name in loop,
            )
        )
    return found


def adapter_in_layer(config: RunConfig, shape: DecoderShape, start: int) -> int:
    """Return the weights of the adapter in each layer that has it."""
    lora = config.teach.lora
    whole = shape.adapter_weights(lora.rank, lora.target_modules, start)
    return whole // max(1, shape.layers - start)


def probe_operations(run: PlannedRun, shape: DecoderShape) -> float:
    """Return about how many operations fitting probes takes: every fit goes over the states twice
    a step.
    """
    probe, rows = run.config.probe, len(run.questions.side("train"))
    fits = (probe.folds * (probe.inner_folds + 1)) * len(probe.inverse_penalties)
    sites = shape.layers * len(POSITIONS)
    return 4.0 * rows * shape.width * fits * STEPS * sites


def _frozen(run: PlannedRun, name: str, shape: DecoderShape, formats: NumberFormats) -> float:
    if name not in ("teach", "teach_control") or not run.start:
        return 0.0
    tokens = run.taught_tokens / max(1, run.config.teach.epochs)
    most = float(run.config.teach.activation_cache_bytes)
    return min(most, tokens * shape.width * formats.states)


def _stage(
    name: str,
    groups: Sequence[Group],
    shape: DecoderShape,
    formats: NumberFormats,
    *,
    in_layer: int,
    probes: float,
    kept: float,
    states: float,
    disk: float,
    exact: bool,
) -> StagePlan:
    forwards = forwards_in(groups)
    cache, working = peak_pass(forwards, shape, formats)
    trains = any(each.backward for each in forwards)
    adapted = trains or name in ADAPTER_STAGES or any(each.adapted for each in forwards)
    weights = in_layer * shape.layers
    training = weights * (ADAPTER_BYTES if trains else 4) if adapted else 0
    return StagePlan(
        name,
        sum(map(len, groups)),
        tuple(forwards),
        sum(each.token_layers for each in forwards) / shape.layers,
        count_products(shape.products, forwards, in_layer),
        probes,
        tuple(rounds_of(groups)),
        Memory(
            formats.weights(shape) + (formats.widening(shape) if name in IN_FLOAT32 else 0.0),
            cache,
            working,
            float(training),
            kept,
            states,
            disk,
            PROCESS_BYTES + formats.kernels,
        ),
        max((sum(_held(task, shape, formats) for task in group) for group in groups), default=0.0),
        adapted,
        exact,
    )


def _held(task: Sequence[Forward], shape: DecoderShape, formats: NumberFormats) -> float:
    """Return the bytes that a batch holds while it waits for a layer, at the most."""
    of_token = formats.of_open_token(shape)
    return max(
        each.rows * (each.held * of_token + each.columns * shape.width * formats.states)
        for each in task
    )
