"""Quantise a model's weights while it is loaded: the matrices of its layers, tensor by tensor as
they are read, so that the whole plain model is never held.

Embedding, head and norms stay as they are, as transformers leaves them. Every scheme below rounds a
row of a pass by itself, so that a row's numbers do not depend on what it is computed with, which
packing, kept prefixes and batches rest on. How far a quantised model is from the plain one differs
from model to model: ``workbench bench quantised`` measures it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.models.quantisation import METHODS, NONE, Method, require_packages


@dataclass(frozen=True)
class Scheme:
    """A way to quantise at load.

    Attributes:
        name: as the setting ``model.quantize`` names it.
        method: of the library that does it.
        bits: that a weight keeps.
        held: bits that a weight takes in memory, without its group's scale.
        about: in words.
        config: from the dtype of the other weights to the configuration transformers takes.
    """

    name: str
    method: Method
    bits: int
    held: int
    about: str
    config: Callable[[torch.dtype], Any]


def scheme_named(name: str) -> Scheme | None:
    """Return a scheme that can be used here by its name; None for "none".

    Raises:
        WorkbenchError: for an unknown name, and one whose library is not installed.
    """
    if name == NONE:
        return None
    if name not in SCHEMES:
        raise WorkbenchError(
            f"unknown quantisation {name!r}: use one of {', '.join((NONE, *SCHEMES))}"
        )
    scheme = SCHEMES[name]
    require_packages(f"model.quantize={name} quantises by {scheme.method.name}", scheme.method)
    return scheme


def require_plain_checkpoint(spec: str, method: Method, scheme: Scheme | None) -> None:
    """Refuse to quantise a checkpoint that is quantised already.

    Raises:
        WorkbenchError: if a scheme is given.
    """
    if scheme is not None:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised by {method.name} already: leave "
            f"model.quantize={scheme.name} out, or use a checkpoint with plain weights"
        )


def allow_training(model: Any) -> None:
    """Tell transformers that adapters can be trained on a model quantised by torchao in any scheme
    here. Its own answer is read off the name of the scheme's class, and all of them are
    differentiated through the widened matrix.
    """
    quantizer = model.hf_quantizer
    if quantizer.is_trainable:
        return
    from transformers.quantizers.quantizer_torchao import TorchAoHfQuantizer

    class TrainableQuantizer(TorchAoHfQuantizer):
        is_trainable = True

    model.hf_quantizer = TrainableQuantizer(
        quantizer.quantization_config, pre_quantized=quantizer.pre_quantized
    )


def quantise_weight(scheme: Scheme, linear: torch.nn.Linear, weight: torch.Tensor) -> Any:
    """Return the quantised parameter that a scheme of torchao makes of the plain ``weight`` of
    ``linear``, as loading the whole model would; the module is left as it is.
    """
    alone = torch.nn.Linear(linear.in_features, linear.out_features, bias=False, device="meta")
    alone.weight = torch.nn.Parameter(weight, requires_grad=False)
    quantize = import_module("torchao.quantization").quantize_
    quantize(alone, scheme.config(weight.dtype).quant_type)
    return alone.weight.requires_grad_(False)


def _torchao(config: Callable[[Any], Any]) -> Callable[[torch.dtype], Any]:
    def make(dtype: torch.dtype) -> Any:
        from transformers import TorchAoConfig

        return TorchAoConfig(config(import_module("torchao.quantization")))

    return make


def _bitsandbytes(**options: Any) -> Callable[[torch.dtype], Any]:
    def make(dtype: torch.dtype) -> Any:
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(bnb_4bit_compute_dtype=dtype, **options)

    return make


GROUP = 32
"""Weights that share a scale in the 4-bit scheme of torchao."""

SCHEMES = {
    row.name: row
    for row in (
        Scheme(
            "int8",
            METHODS["torchao"],
            8,
            8,
            "whole numbers with a scale for each output",
            _torchao(lambda ao: ao.Int8WeightOnlyConfig()),
        ),
        Scheme(
            "int4",
            METHODS["torchao"],
            4,
            8,
            f"whole numbers with a scale and a zero for each {GROUP} inputs; kept a byte each, in "
            "the only layout of torchao that every device computes and differentiates",
            _torchao(
                lambda ao: ao.IntxWeightOnlyConfig(
                    torch.int4,  # type: ignore[attr-defined]
                    granularity=ao.PerGroup(GROUP),
                    mapping_type=ao.MappingType.ASYMMETRIC,
                )
            ),
        ),
        Scheme(
            "fp8",
            METHODS["torchao"],
            8,
            8,
            "floating-point numbers of 8 bits with a scale for each output",
            _torchao(lambda ao: ao.Float8WeightOnlyConfig()),
        ),
        Scheme(
            "nf4",
            METHODS["bitsandbytes_4bit"],
            4,
            4,
            "normal floats with a scale for each 64 weights, itself rounded, as QLoRA has them",
            _bitsandbytes(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
            ),
        ),
        Scheme(
            "bnb-int8",
            METHODS["bitsandbytes_8bit"],
            8,
            8,
            "whole numbers, and the states that enter a layer rounded as well, outliers too: "
            "setting them apart would mix the rows of a pass",
            _bitsandbytes(load_in_8bit=True, llm_int8_threshold=0.0),
        ),
    )
}
