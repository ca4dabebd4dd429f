"""Hold the ways in which checkpoints are quantised: the names their configurations have for them,
the packages that read them, and the devices they run on.

A quantised checkpoint is loaded as it is, by transformers and the library that made it, and stays
frozen. What is missing for that, a package or an accelerator, is said before any weights move.
Methods whose kernels an accelerator alone has, but whose numbers every device can hold
(:attr:`Method.widens`), are widened to the checkpoint's dtype where there is none: the weights stay
what they were, and take more memory. That is said too.

A method without a row is refused. A row does not show whether a checkpoint was quantised well;
``workbench bench`` and the results of a run do.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel

NONE = "none"


@dataclass(frozen=True)
class Method:
    """A way of quantising.

    Attributes:
        name: as ``quantization_config`` names it; both kinds of bitsandbytes have a name of their
            own here.
        packages: modules that must be importable.
        install: what to give pip.
        cpu: whether it runs on a processor.
        capability: the least compute capability of the CUDA devices that its kernels run on; None
            where any will do.
        widens: whether the weights are widened where the kernels cannot run.
        rounds_activations: whether the states that enter a layer are rounded as well.
    """

    name: str
    packages: tuple[str, ...]
    install: str
    cpu: bool = True
    capability: tuple[int, int] | None = None
    widens: bool = False
    rounds_activations: bool = False


METHODS = {
    row.name: row
    for row in (
        Method("bitsandbytes_4bit", ("bitsandbytes",), "bitsandbytes"),
        Method("bitsandbytes_8bit", ("bitsandbytes",), "bitsandbytes", rounds_activations=True),
        Method("gptq", ("optimum", "gptqmodel"), "optimum gptqmodel"),
        Method("awq", ("gptqmodel",), "gptqmodel"),
        Method(
            "compressed-tensors",
            ("compressed_tensors",),
            "compressed-tensors",
            rounds_activations=True,
        ),
        Method("torchao", ("torchao",), "torchao"),
        Method("hqq", ("hqq",), "hqq", cpu=False),
        Method("fp8", ("kernels",), "kernels", False, (8, 9), True, True),
        Method("mxfp8", ("kernels",), "kernels", False, (8, 9), True, True),
        Method("mxfp4", ("kernels", "triton"), "kernels triton", False, (7, 5), True),
    )
}


def checkpoint_method(spec: str, config: Any) -> Method | None:
    """Return how the checkpoint of a configuration is quantised; None for plain weights.

    Raises:
        WorkbenchError: for a method without a row, and a configuration that names none.
    """
    settings = _settings(config)
    if not settings:
        return None
    given = settings.get("quant_method") or ""
    name = str(getattr(given, "value", given))
    for bits in (8, 4):
        if settings.get(f"load_in_{bits}bit"):
            name = f"bitsandbytes_{bits}bit"
    if name not in METHODS:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised by {name or 'a method without a name'!r}, and "
            f"the workbench loads those of {', '.join(METHODS)}: use another checkpoint"
        )
    return METHODS[name]


def prepare_quantised(spec: str, config: Any, method: Method, device: torch.device) -> None:
    """Refuse a quantised checkpoint that cannot be read here, and have its weights widened where
    they must be, which is said in a warning.

    Raises:
        WorkbenchError: for a package or an accelerator that is missing.
    """
    lacking = missing_kernel(method, device)
    if lacking and method.widens:
        warnings.warn(
            f"{spec}: {method.name} weights need {lacking}, so they are widened to the "
            "checkpoint's dtype, which takes more memory and leaves states unrounded",
            stacklevel=3,
        )
        _settings(config)["dequantize"] = True
        return
    if lacking:
        raise WorkbenchError(
            f"the weights of {spec!r} are quantised by {method.name}, which needs {lacking}: "
            "set model.device to one, or use another checkpoint of the model"
        )
    require_packages(f"the weights of {spec!r} are quantised by {method.name}", method)
    if method.name == "bitsandbytes_8bit" and _settings(config).get("llm_int8_threshold", 6.0):
        warnings.warn(
            f"{spec}: LLM.int8 sets the outliers of all rows of a pass apart together, so a row's "
            "numbers depend on the rows it is computed with, and packed passes differ from others",
            stacklevel=3,
        )


def _settings(config: Any) -> dict[str, Any]:
    """Return what a configuration, or that of its text part, says of its quantisation."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        found = getattr(config.get_text_config(), "quantization_config", None)
    if found is None or isinstance(found, dict):
        return found or {}
    return dict(found.to_dict())


def require_packages(why: str, method: Method) -> None:
    """Refuse what needs a method's packages where one is not installed.

    Args:
        why: the first half of the sentence.

    Raises:
        WorkbenchError: naming the package and how to install it.
    """
    missing = missing_package(method)
    if missing:
        raise WorkbenchError(
            f"{why}, and the package {missing} that does it is not installed: pip install "
            f"{method.install}"
        )


def missing_package(method: Method) -> str:
    """Return the first package of a method that is not installed, "" for none."""
    return next((name for name in method.packages if find_spec(name) is None), "")


def missing_kernel(method: Method, device: torch.device) -> str:
    """Return the device that a method's kernels need where ``device`` is none, "" where it is."""
    if device.type == "cpu":
        return "" if method.cpu else _accelerator(method)
    if device.type == "cuda" and method.capability is not None:
        able = torch.cuda.get_device_capability(device) >= method.capability
        return "" if able else _accelerator(method)
    return ""


def _accelerator(method: Method) -> str:
    if method.capability is None:
        return "an accelerator"
    return f"a CUDA device of compute capability {'.'.join(map(str, method.capability))} or above"


def method_of(lm: LanguageModel) -> Method | None:
    """Return the method by which a loaded model's weights are quantised; None for plain ones."""
    base = lm.base()
    if not getattr(base, "is_quantized", False):
        return None
    return checkpoint_method(lm.name, base.config)


def quantisation_name(lm: LanguageModel) -> str:
    """Return the name of a loaded model's method, "none" for plain weights."""
    method = method_of(lm)
    return NONE if method is None else method.name


def require_plain_weights(lm: LanguageModel, what: str, mend: str) -> None:
    """Refuse a quantised model where plain weights are needed.

    Args:
        what: what needs them, the beginning of the sentence.
        mend: what to do instead.

    Raises:
        WorkbenchError: for a quantised model.
    """
    method = method_of(lm)
    if method is not None:
        raise WorkbenchError(
            f"{what} needs plain weights, and those of {lm.name!r} are quantised by {method.name}; "
            f"{mend}."
        )
