"""Say how long forward passes take: from a device's stated rates, or from layers that were timed.

Stated: a pass takes as long as its products at the rate of the device, or as reading its layers'
weights once, whichever is longer, and the starting of kernels. Timed: seconds of a layer at some
numbers of columns, between which seconds follow a power law; they hold for the shape they were
measured on (:mod:`workbench.bench.layer_times`).

Neither counts what is not a pass: tokenising, grading, reading and writing files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from workbench.plan.forwards import Forward
from workbench.plan.machine import Device
from workbench.plan.number_formats import NumberFormats
from workbench.plan.shape import DecoderShape


class Rates(Protocol):
    """What says how long a pass takes."""

    @property
    def source(self) -> str:
        """Where the rates are from, in words."""
        ...

    def seconds(self, each: Forward, adapter: int) -> float:
        """Return the seconds of a pass whose adapter has ``adapter`` weights in a layer."""
        ...


@dataclass(frozen=True)
class StatedRates:
    """Rates of a device's data sheet.

    Attributes:
        devices: over which every layer is split.
        efficiency: share of the devices' products that is left when layers are split.
    """

    device: Device
    shape: DecoderShape
    formats: NumberFormats
    devices: int = 1
    efficiency: float = 1.0

    @property
    def source(self) -> str:
        device = self.device
        flops = device.flops if self.formats.products != "float32" else device.float32
        return (
            f"stated for {device.name}: {flops / 1e12:.3g}e12 operations and "
            f"{device.bandwidth / 1e9:.4g}e9 bytes a second"
        )

    def seconds(self, each: Forward, adapter: int) -> float:
        exact = each.float32 or self.formats.products == "float32"
        split = self.devices * self.efficiency
        flops = (self.device.float32 if exact else self.device.flops) * split
        reads = self.device.bandwidth * split
        operations = dict(each.products(adapter).operations(self.shape.products))
        head = operations.pop("unembedding")
        weights = each.layers * self.formats.layer(self.shape) * (2 if each.backward else 1)
        found = max(sum(operations.values()) / flops, weights / reads)
        found += each.layers * self.device.launch * (2 if each.backward else 1)
        if each.logits:
            matrix = self.formats.rest * self.shape.width * self.shape.vocabulary
            found += max(head / flops, matrix / reads)
        return found


@dataclass(frozen=True)
class TimedLayers:
    """Seconds that were measured on a shape.

    Attributes:
        machine: where, in words.
        columns: numbers of columns, rising.
        layer: seconds of one layer over so many columns.
        rows: numbers of unembedded states, rising.
        head: seconds of unembedding so many.
        backward: seconds of a layer forward and backward over forward alone.
        float32: seconds of a layer in float32 over those in the model's precision.
    """

    machine: str
    columns: tuple[int, ...]
    layer: tuple[float, ...]
    rows: tuple[int, ...]
    head: tuple[float, ...]
    backward: float
    float32: float

    @property
    def source(self) -> str:
        return f"measured on {self.machine}"

    def seconds(self, each: Forward, adapter: int) -> float:
        found = each.layers * _between(self.columns, self.layer, each.per_layer)
        found *= self.backward if each.backward else 1.0
        found *= self.float32 if each.float32 else 1.0
        if each.logits:
            found += _between(self.rows, self.head, each.logits) * (2 if each.backward else 1)
        return found


def _between(at: Sequence[int], seconds: Sequence[float], wanted: int) -> float:
    """Return seconds on straight lines of logarithms through what was measured; proportional to
    ``wanted`` above the largest.
    """
    if wanted >= at[-1]:
        return seconds[-1] * wanted / at[-1]
    return float(np.exp(np.interp(np.log(wanted), np.log(at), np.log(seconds))))
