"""Say what each way of placing a model costs on a machine: whether it fits, how long it takes, what
is read and moved.

- ``device``: all weights on one device;
- ``stream``: one layer after another is read, for all batches at once; an adapter is trained with
  the layers from its first on in memory, or, where they do not fit, read twice each step; gradients
  of other passes are refused;
- ``auto``: layers spread over several devices, which work one after another;
- ``tensor``: every layer split over all devices;
- ``ndif``: a remote model; passes without an adapter, a request a batch. It costs nothing here, and
  how long it takes is not known.

The cheapest is the one with the fewest seconds times devices. Seconds are those of the passes and
of fitting probes; reading the weights once at the start is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from workbench.plan.machine import Machine
from workbench.plan.number_formats import NumberFormats
from workbench.plan.rates import Rates, StatedRates
from workbench.plan.shape import DecoderShape
from workbench.plan.stage_plans import StagePlan

SPLIT_EFFICIENCY = 0.8
"""Share of products' rate that is left when every layer is split over devices of one machine."""
FILE_SHARE = 0.7
"""Share of main memory in which the system holds files at the most."""
PROBE_RATE = 5e10
"""Operations a second of fitting probes on a processor, in float32 (docs/guide/scale.md)."""


@dataclass(frozen=True)
class Placed:
    """A placement on a machine.

    Attributes:
        name: of the placement.
        why_not: why it cannot be taken; empty where it can.
        devices: that compute.
        device_bytes: on each of them at the most.
        main_bytes: in main memory at the most.
        seconds: by stage, without those it cannot do; None where nothing says.
        refused: stages it cannot do.
        read_bytes: weights read, by stage; what is moved between devices, for those split.
        rates: where the rates are from.
    """

    name: str
    why_not: str
    devices: int
    device_bytes: float
    main_bytes: float
    seconds: Mapping[str, float] | None
    refused: tuple[str, ...]
    read_bytes: Mapping[str, float]
    rates: str

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all stages that it can do."""
        return None if self.seconds is None else sum(self.seconds.values())

    @property
    def device_seconds(self) -> float:
        """Seconds times devices; endless where it cannot be taken or nothing says."""
        if self.why_not or self.total_seconds is None:
            return float("inf")
        return self.total_seconds * self.devices


@dataclass(frozen=True, eq=False)
class _Asked:
    """What placements are computed from."""

    machine: Machine
    shape: DecoderShape
    formats: NumberFormats
    plain: NumberFormats
    waiting_bytes: float
    stages: Sequence[StagePlan]
    in_layer: int
    resident_bytes: float
    timed: Rates | None

    def rates(self, devices: int = 1, efficiency: float = 1.0) -> Rates:
        if self.timed is not None and devices == 1:
            return self.timed
        return StatedRates(self.machine.device, self.shape, self.formats, devices, efficiency)

    def compute(self, rates: Rates, stage: StagePlan) -> float:
        own = sum(rates.seconds(each, self.in_layer) for each in stage.forwards)
        return own + stage.probe_operations / PROBE_RATE

    def largest(self, part: Callable[[StagePlan], float]) -> float:
        return max(map(part, self.stages), default=0.0)

    def misfit(self, device: float, main: float, on_device: bool) -> str:
        """Return which memory is too small, and by how much; empty where both suffice."""
        machine = self.machine
        if machine.device.on_cpu or not on_device:
            device, main = (device + main, 0.0)
        if device > machine.device.room:
            room = machine.device.room / 1e9
            return f"needs {device / 1e9:.1f} GB on a device with room for {room:.1f}"
        if machine.main is not None and main > machine.main and not machine.device.on_cpu:
            return f"needs {main / 1e9:.1f} GB of main memory of {machine.main / 1e9:.0f}"
        return ""


def place(
    machine: Machine,
    shape: DecoderShape,
    formats: NumberFormats,
    plain: NumberFormats,
    waiting_bytes: float,
    stages: Sequence[StagePlan],
    in_layer: int,
    resident_bytes: float,
    timed: Rates | None = None,
) -> list[Placed]:
    """Return every placement on a machine.

    Args:
        plain: formats of a model that is read layer by layer.
        waiting_bytes: that batches of such a model may hold in memory while they wait.
        in_layer: weights of the adapter in a layer that has it.
        resident_bytes: the most that the layers a streamed model trains may take in memory.
        timed: measured rates, for placements on one device; None for stated ones.
    """
    asked = _Asked(
        machine, shape, formats, plain, waiting_bytes, stages, in_layer, resident_bytes, timed
    )
    return [_device(asked), _stream(asked), _auto(asked), _tensor(asked), _ndif(asked)]


def _device(asked: _Asked) -> Placed:
    rates = asked.rates()
    weights = asked.formats.weights(asked.shape)
    device, main = asked.largest(_on_device), asked.largest(_in_main)
    seconds = {stage.name: asked.compute(rates, stage) for stage in asked.stages}
    why_not = asked.misfit(device, main, True)
    read = {"load": weights}
    seconds = {"load": weights / asked.machine.disk, **seconds}
    return Placed("device", why_not, 1, device, main, seconds, (), read, rates.source)


def _stream(asked: _Asked) -> Placed:
    machine, shape, formats = asked.machine, asked.shape, asked.plain
    rates, layer = asked.rates(), formats.layer(shape)
    stages = [stage for stage in asked.stages if not stage.differentiates]
    in_main = machine.main is not None and layer * shape.layers < FILE_SHARE * machine.main
    bus = machine.device.bandwidth if machine.device.on_cpu else machine.device.host
    rate = bus if in_main else min(machine.disk, bus)
    read: dict[str, float] = {}
    seconds: dict[str, float] = {}
    held = 0.0
    for stage in stages:
        # What does not fit into the bound lies in files, and passes by once a round.
        spilled = max(0.0, stage.waiting - asked.waiting_bytes)
        rounds, trained = _rounds_streamed(asked, stage, layer)
        read[stage.name] = layer * sum(rounds)
        held = max(held, trained + stage.memory.working + stage.memory.cache / shape.layers)
        moved = read[stage.name] / rate + spilled * len(rounds) / machine.disk
        seconds[stage.name] = max(moved, asked.compute(rates, stage))
    device = formats.outside(shape) + 2 * layer + held
    waiting = min(asked.waiting_bytes, max((s.waiting for s in stages), default=0.0))
    main = max((stage.memory.main for stage in stages), default=0.0) + waiting
    why_not = asked.misfit(device, main, True)
    if formats.linear != formats.rest:
        why_not = "reads plain weights in their own dtype, and these are quantised or rounded"
    refused = tuple(stage.name for stage in asked.stages if stage.differentiates)
    where = "main memory" if in_main else "the disk"
    source = f"{rates.source}; weights from {where} at {rate / 1e9:.3g} GB/s"
    return Placed("stream", why_not, 1, device, main, seconds, refused, read, source)


def _rounds_streamed(
    asked: _Asked, stage: StagePlan, layer: float
) -> tuple[tuple[int, ...], float]:
    """Return the layers that are read each time the model is gone through, and the bytes of those
    that stay in memory while an adapter is trained: the trained ones where they fit, which are then
    read once; else every step reads them forward and back.
    """
    steps = [each.layers for each in stage.forwards if each.backward]
    if not stage.trains or not steps:
        return stage.reads, 0.0
    upper = max(steps)
    below = (asked.shape.layers - upper,)
    if layer * upper <= asked.resident_bytes:
        return (*below, upper), layer * upper + stage.memory.training
    return (*below, *(2 * upper for _ in steps)), stage.memory.training


def _auto(asked: _Asked) -> Placed:
    machine, shape = asked.machine, asked.shape
    count, rates = machine.count, asked.rates()
    weights = asked.formats.weights(shape)
    spread = weights / count + asked.formats.layer(shape)
    device = max(
        (
            spread + s.memory.cache / count + s.memory.working + s.memory.training / count
            for s in asked.stages
        ),
        default=0.0,
    )
    moved = {
        s.name: s.tokens * shape.width * asked.formats.states * (count - 1) for s in asked.stages
    }
    seconds = {
        s.name: asked.compute(rates, s) + moved[s.name] / machine.device.link for s in asked.stages
    }
    why_not = asked.misfit(device, asked.largest(_in_main), True)
    if count == 1:
        why_not = "spreads layers over several devices, and there is one"
    seconds = {"load": weights / machine.disk, **seconds}
    main = asked.largest(_in_main)
    return Placed("auto", why_not, count, device, main, seconds, (), moved, rates.source)


def _tensor(asked: _Asked) -> Placed:
    machine, shape = asked.machine, asked.shape
    count = machine.count
    rates = asked.rates(count, SPLIT_EFFICIENCY)
    weights = asked.formats.weights(shape)
    device = max((_on_device(s) / count for s in asked.stages), default=0.0)
    # Attention and MLP each add up their parts over all devices.
    share = 2 * 2 * (count - 1) / count
    moved = {
        s.name: s.tokens * shape.layers * shape.width * asked.formats.states * share
        for s in asked.stages
    }
    seconds = {
        s.name: asked.compute(rates, s) + moved[s.name] / machine.device.link for s in asked.stages
    }
    why_not = asked.misfit(device, asked.largest(_in_main), True)
    if count == 1:
        why_not = "splits layers over several devices, and there is one"
    elif shape.key_value_heads % count:
        why_not = f"splits {shape.key_value_heads} key-value heads over {count} devices unevenly"
    elif asked.formats.linear != asked.formats.rest:
        why_not = "splits plain weights, and these are quantised or rounded"
    seconds = {"load": weights / machine.disk, **seconds}
    main = asked.largest(_in_main)
    return Placed("tensor", why_not, count, device, main, seconds, (), moved, rates.source)


def _ndif(asked: _Asked) -> Placed:
    refused = tuple(each.name for each in asked.stages if each.adapted or each.differentiates)
    main = max((s.memory.main for s in asked.stages if s.name not in refused), default=0.0)
    return Placed("ndif", "", 0, 0.0, main, None, refused, {}, "the remote machine's, not known")


def _on_device(stage: StagePlan) -> float:
    return stage.memory.device


def _in_main(stage: StagePlan) -> float:
    return stage.memory.main
