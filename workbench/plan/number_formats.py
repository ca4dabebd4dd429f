"""Say in how many bytes a model's numbers are held: weights, states, keys and values."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.config import ModelSettings
from workbench.models.kernel_caches import KERNEL_BYTES, KERNELS
from workbench.models.quantise import GROUP, SCHEMES
from workbench.plan.shape import DecoderShape

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SCALE_BITS = {"int4": 2 * 16 / GROUP, "nf4": 8 / 64 + 32 / (64 * 256)}
"""Bits a weight that its group's scale takes, and zero or second scale; other schemes have a scale
a row.
"""


@dataclass(frozen=True)
class NumberFormats:
    """Bytes of a model's numbers.

    Attributes:
        linear: of a weight of the layers' matrices; a fraction where they are quantised.
        rest: of every other weight.
        head: of the head's weights once more, where a rounded copy of them is kept.
        states: of an entry of the residual stream.
        keys: of an entry of keys and values that are kept for later passes.
        products: the dtype that products are made in.
        kernels: bytes of the kernels that a processor keeps for products in lower precision.
    """

    linear: float
    rest: float
    head: float
    states: float
    keys: float
    products: str
    kernels: float = 0.0

    @classmethod
    def of(cls, model: ModelSettings, on_cpu: bool, bfloat16_units: bool = True) -> NumberFormats:
        """Return the formats that settings mean on a kind of device.

        Args:
            bfloat16_units: whether a processor multiplies in bfloat16, which ``auto`` asks for.
        """
        dtype = model.dtype if model.dtype != "auto" else ("float32" if on_cpu else "bfloat16")
        size = _BYTES[dtype]
        auto = on_cpu and bfloat16_units and model.placement == "device"
        lower = model.precision == "bfloat16" or (model.precision == "auto" and auto)
        rounded = lower and size == 4
        linear: float = 2 if rounded else size
        if model.quantize in SCHEMES:
            scheme = SCHEMES[model.quantize]
            linear = (scheme.held + SCALE_BITS.get(scheme.name, 0.0)) / 8
        products = "bfloat16" if lower and size == 4 else dtype
        keys = 2 if rounded else size
        kernels = KERNELS * KERNEL_BYTES if on_cpu and products != "float32" else 0.0
        return cls(linear, size, 2 if rounded else 0, size, keys, products, kernels)

    def weights(self, shape: DecoderShape) -> float:
        """Return the bytes of all weights in memory."""
        head = self.head * shape.width * shape.vocabulary if shape.tied else 0
        return self.layer(shape) * shape.layers + self.outside(shape) + head

    def layer(self, shape: DecoderShape) -> float:
        """Return the bytes of one layer."""
        return (self.linear * shape.linear + self.rest * shape.layer_rest) / shape.layers

    def outside(self, shape: DecoderShape) -> float:
        """Return the bytes of what lies outside the layers."""
        return self.rest * shape.outside

    def widening(self, shape: DecoderShape) -> float:
        """Return the bytes by which matrices that were rounded grow while passes of their model
        compute in float32; quantised ones stay as they are.
        """
        rounded = self.linear == 2 and self.rest == 4
        return (self.rest - self.linear) * shape.linear if rounded else 0.0

    def of_token(self, shape: DecoderShape) -> int:
        """Return the bytes of one token's keys and values in all layers, as they are kept."""
        return int(_entries(shape) * self.keys)

    def of_open_token(self, shape: DecoderShape) -> int:
        """Return the bytes of the same while a batch goes on: rotary angles are in the states'
        dtype, so keys that a product in bfloat16 gave become that of the states, and values follow
        them.
        """
        return int(_entries(shape) * max(self.keys, self.states))


def _entries(shape: DecoderShape) -> int:
    return shape.layers * 2 * shape.key_value_heads * shape.head_size
