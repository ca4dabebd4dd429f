"""Plan a run before anything is paid for: what every stage costs, and which placement is cheapest.

Only the model's configuration is read. Passes and tokens are those that the engine will make for
prompts, answers and stated texts of the lengths that the notes state; memory and time are estimates
that ``workbench bench plan`` compares with measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.compat import has_bfloat16_units
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.models.quantise import SCHEMES
from workbench.plan.machine import Machine
from workbench.plan.number_formats import NumberFormats
from workbench.plan.placements import Placed, place
from workbench.plan.questions import PlannedQuestions, plan_questions
from workbench.plan.rates import Rates
from workbench.plan.shape import DecoderShape, decoder_shape
from workbench.plan.stage_plans import StagePlan, adapter_in_layer, plan_run, plan_stages

PLACEMENTS = ("device", "stream", "auto", "tensor", "ndif")
COUNTS = (2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Plan:
    """A planned run.

    Attributes:
        questions: how many.
        lengths: mean tokens of prompts, conversations, answers and stated confidences.
        stages: in the order in which they are run.
        placed: every placement.
        chosen: the placement asked for, else the cheapest.
        notes: what was assumed.
    """

    config: RunConfig
    shape: DecoderShape
    formats: NumberFormats
    machine: Machine
    questions: int
    lengths: dict[str, float]
    stages: Sequence[StagePlan]
    placed: Sequence[Placed]
    chosen: Placed
    notes: tuple[str, ...]


def make_plan(
    config: RunConfig,
    machine: Machine,
    *,
    count: int | None = None,
    placement: str | None = None,
    timed: Rates | None = None,
    bottleneck: bool = True,
    asked: PlannedQuestions | None = None,
) -> Plan:
    """Plan the loop, and the text-bottleneck analysis after it.

    Args:
        count: of questions; None for as many as the settings draw.
        placement: the one wanted; None for the cheapest that fits.
        timed: rates measured on this machine; None for stated ones.
        bottleneck: whether the analysis is planned too.
        asked: questions that are laid out already; None to lay out those of the settings.

    Raises:
        WorkbenchError: for a model whose shape is not known, and where the placement asked for, or
            every one, does not fit; it says what would.
    """
    shape = decoder_shape(config.model.name, config.model.trust_remote_code)
    units = has_bfloat16_units() if machine.device.on_cpu else True
    formats, plain = (
        NumberFormats.of(
            config.model.model_copy(update={"placement": how}), machine.device.on_cpu, units
        )
        for how in ("device", "stream")
    )
    asked = plan_questions(config, count) if asked is None else asked
    run = plan_run(config, shape, formats, asked)
    stages = plan_stages(run, shape, formats, bottleneck)
    in_layer = adapter_in_layer(config, shape, run.start)
    waiting = config.model.waiting_bytes
    resident = config.teach.resident_bytes
    placed = place(machine, shape, formats, plain, waiting, stages, in_layer, resident, timed)
    chosen = _chosen(placed, placement)
    found = Plan(
        config,
        shape,
        formats,
        machine,
        len(asked),
        {
            "prompt": _mean([len(each) for each in asked.prompts]),
            "conversation": _mean(asked.lengths),
            "answer": _mean(asked.answered),
            "stated confidence": _mean(asked.stated),
        },
        stages,
        placed,
        chosen,
        (
            f"Sizes of {shape.name}: {shape.source}.",
            *asked.notes,
            f"Rates {chosen.rates}.",
        ),
    )
    if chosen.why_not:
        raise WorkbenchError(_misfit(found))
    return found


def _chosen(placed: Sequence[Placed], wanted: str | None) -> Placed:
    if wanted is not None:
        return next(each for each in placed if each.name == wanted)
    whole = [each for each in placed if not each.refused]
    fitting = [each for each in whole if not each.why_not]
    # What cannot do every stage is taken where nothing can.
    fitting = fitting or [each for each in placed if not each.why_not and each.seconds]
    return min(fitting or whole, key=lambda each: each.device_seconds)


def _misfit(plan: Plan) -> str:
    """Return a sentence on why a placement does not fit, and what would."""
    shape, chosen, machine = plan.shape, plan.chosen, plan.machine
    mends = []
    for scheme in ("int8", "nf4"):
        if plan.config.model.quantize == "none" and _quantised_fits(plan, scheme):
            mends.append(f"--quantize {scheme} --placement device")
            break
    whole = next(each for each in plan.placed if each.name == "device").device_bytes
    for count in COUNTS:
        if not machine.device.on_cpu and whole / count * 1.05 < machine.device.room:
            if count > machine.count:
                mends.append(f"--devices {count}x{machine.device.name} --placement auto")
            break
    mends += [
        f"--placement {each.name}"
        + (f" (without {', '.join(each.refused)})" if each.refused else "")
        for each in plan.placed
        if not each.why_not and each is not chosen
    ]
    return (
        f"{shape.name} does not fit with placement {chosen.name} on {machine.stated}: it "
        f"{chosen.why_not}. What would: {'; '.join(mends) or 'a larger machine'}."
    )


def _quantised_fits(plan: Plan, scheme: str) -> bool:
    model = plan.config.model.model_copy(update={"quantize": scheme})
    formats = NumberFormats.of(model, plan.machine.device.on_cpu)
    own = next(each for each in plan.placed if each.name == "device")
    less = plan.formats.weights(plan.shape) - formats.weights(plan.shape)
    return scheme in SCHEMES and own.device_bytes - less <= plan.machine.device.room


def _mean(values: Sequence[int]) -> float:
    return sum(values) / max(1, len(values))
