"""Plan the whole run of a large model from one layer of its shape that was measured on this
machine, streamed and in memory.

Three rates are taken from the layer, none from a data sheet: operations a second from its pass over
many prompts in memory, bytes of memory a second from a pass over two tokens, which reads all its
weights and multiplies little, and bytes a second of reading its file, once taken out of the
system's memory of files and once in it. What a plan counts with them are the passes, tokens and
operations that the engine would make for the model's own number of layers and tokens of its
vocabulary, which the layer has not; a streamed pass takes the longer of reading and multiplying,
with what streaming adds (``workbench.plan.placements.STREAM_OVERHEAD``). Passes in float32, which
were not measured, count with the stated share of the rate. Hours are of this machine under its
load while the layer was timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from workbench.bench.page_cache import forget_files
from workbench.bench.stream_checkpoint import StreamShape
from workbench.bench.timing import seconds
from workbench.config import load_config
from workbench.errors import WorkbenchError
from workbench.plan.device_kinds import CORE_FLOAT32, CORE_PEAK
from workbench.plan.forwards import Forward, count_products, whole_forward
from workbench.plan.machine import Device, Machine
from workbench.plan.number_formats import NumberFormats
from workbench.plan.plan import Plan, make_plan
from workbench.plan.rates import StatedRates
from workbench.plan.shape import DecoderShape, decoder_shape, shape_of_config
from workbench.stream.gates import LayerStream

MODEL = "llama-3.1-70b"
QUESTIONS = 580
PLACEMENT = "stream"
WHOLE = "plan.whole"


@dataclass(frozen=True)
class LayerRates:
    """What one layer reached here.

    Attributes:
        operations: a second, of its products over many prompts.
        memory: bytes of its weights a second where few columns are multiplied with them.
        disk: bytes of its file a second, read from the disk.
        files: the same with the file in the system's memory, brought to the device.
    """

    operations: float
    memory: float
    disk: float
    files: float


@dataclass(frozen=True)
class LayerTimes:
    """Seconds of a layer: over all prompts and over two tokens in memory, and of reading it."""

    many: float
    few: float
    disk: float
    files: float


@dataclass(frozen=True)
class MeasuredRates:
    """Rates of a device that were measured."""

    rates: StatedRates

    @property
    def source(self) -> str:
        device = self.rates.device
        return (
            f"measured with one layer on {device.name}: {device.flops / 1e12:.3g}e12 operations "
            f"and {device.bandwidth / 1e9:.4g}e9 bytes a second"
        )

    def seconds(self, each: Forward, adapter: int) -> float:
        return self.rates.seconds(each, adapter)


def reading_seconds(stream: LayerStream, folder: Path) -> tuple[float, float]:
    """Return the seconds of reading layer 0 from the disk, and from the system's memory of files to
    the device that computes.
    """

    def read() -> None:
        stream.weights.fill(0, None)

    found = []
    for forget in (True, False):
        # What is mapped cannot be forgotten.
        stream.weights.empty(0)
        if forget:
            forget_files(folder.glob("*.safetensors"))
        found.append(seconds(read))
    stream.weights.empty(0)
    return found[0], found[1]


def same_layer(layer: StreamShape, shape: DecoderShape) -> bool:
    """Return whether a layer of ``shape`` has the sizes of ``layer``."""
    return (layer.width, layer.mlp, layer.heads, layer.key_value_heads) == (
        shape.width,
        shape.mlp,
        shape.heads,
        shape.key_value_heads,
    )


def layer_rates(
    layer: StreamShape, layer_bytes: int, groups: Sequence[tuple[int, int]], times: LayerTimes
) -> LayerRates:
    """Return the rates that a model of one layer reached; its small head is not counted.

    Args:
        layer_bytes: of its weights.
        groups: rows and columns of each batch that its pass in memory went over.
    """
    shape = shape_of_config("random", layer.config(), "the measured layer")
    passes = [whole_forward("", 1, rows, columns) for rows, columns in groups]
    operations = count_products(shape.products, passes, 0)
    return LayerRates(
        sum(operations.values()) / times.many,
        layer_bytes / times.few,
        layer_bytes / times.disk,
        layer_bytes / times.files,
    )


def machine_here(rates: LayerRates) -> Machine:
    """Return this machine with measured rates."""
    memory = main = float(psutil.virtual_memory().total)
    name, on_cpu = f"{torch.get_num_threads()} threads of this processor", True
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        name, on_cpu, memory = properties.name, False, float(properties.total_memory)
    float32 = rates.operations * CORE_FLOAT32 / CORE_PEAK
    device = Device(
        name,
        on_cpu,
        memory,
        rates.operations,
        float32,
        rates.memory,
        rates.files,
        rates.files,
        0.0,  # starting kernels is in what was measured
    )
    return Machine("this machine", device, 1, main, rates.disk)


def plan_whole(
    rates: LayerRates, layer: StreamShape, model: str = MODEL, questions: int = QUESTIONS
) -> dict[str, Any]:
    """Return the plan of the main loop on a model read layer by layer, as values with dotted keys:
    of each stage, and of the whole.

    Args:
        layer: the shape that was measured; of another one than the model's, nothing is planned.
    """
    shape = decoder_shape(model)
    if not same_layer(layer, shape):
        return {}
    config = load_config(
        None,
        {
            "model.name": model,
            "model.dtype": layer.dtype,
            "model.precision": "float32",
            "model.placement": PLACEMENT,
        },
    )
    machine = machine_here(rates)
    formats = NumberFormats.of(config.model, machine.device.on_cpu)
    timed = MeasuredRates(StatedRates(machine.device, shape, formats))
    found: dict[str, Any] = {"plan.model": model, "plan.questions": questions}
    try:
        plan = make_plan(
            config, machine, count=questions, placement=PLACEMENT, timed=timed, bottleneck=False
        )
    except WorkbenchError as error:
        return {**found, "plan.refused": str(error)}
    return {**found, **_values(plan, layer)}


def _values(plan: Plan, layer: StreamShape) -> dict[str, Any]:
    placed, found = plan.chosen, {}
    taken = placed.seconds or {}
    of_layer = plan.formats.layer(plan.shape)
    total = {"passes": 0, "tokens": 0.0}
    for stage in plan.stages:
        if stage.name in placed.refused:
            continue
        key = f"plan.{stage.name}"
        found |= {
            f"{key}.passes": len(stage.forwards),
            f"{key}.tokens": stage.tokens,
            f"{key}.read_bytes": placed.read_bytes[stage.name],
            f"{key}.model_readings": placed.read_bytes[stage.name] / of_layer / plan.shape.layers,
            f"{key}.hours": taken[stage.name] / 3600,
        }
        total["passes"] += len(stage.forwards)
        total["tokens"] += stage.tokens
    read = sum(placed.read_bytes.values())
    return {
        **found,
        f"{WHOLE}.passes": total["passes"],
        f"{WHOLE}.tokens": total["tokens"],
        f"{WHOLE}.read_bytes": read,
        f"{WHOLE}.model_readings": read / of_layer / plan.shape.layers,
        f"{WHOLE}.hours": sum(taken.values()) / 3600,
        f"{WHOLE}.device_bytes": placed.device_bytes,
        f"{WHOLE}.main_bytes": placed.main_bytes,
        "plan.rates": placed.rates,
    }
