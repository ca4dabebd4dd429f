"""Find a model's decoder layers, its decoder, and what stands between them and the logits.

The layers are the list of modules that were each called once, one after another, with states of
one width going in and out. The decoder is the smallest module that holds both the layers and the
token embedding and was called. Between the last layer and the decoder's last hidden state stands
one module (the final norm) or none; between that and the head likewise. The logits are the head's
output z, or scale * z, or cap * tanh(scale * z / cap); scale and cap are found by comparing numbers
with the configuration's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from workbench.compat import execution_device
from workbench.errors import WorkbenchError
from workbench.models.layer_output import Streams
from workbench.models.structure.exact_numbers import configured_numbers, exact_number
from workbench.models.structure.observation import Call, Observation, same

_RAMP, _SMALLEST, _CLEAR, _FEWEST = 20.0, 1e-2, 0.95, 8


@dataclass(frozen=True)
class Ends:
    """What stands outside the layers.

    Attributes:
        head: path of the module that reads the decoder's output, or what ``before_head`` made of
            it, and returns logits: the output embedding or a module around it.
        final_norm: path of the module between the last layer and the decoder's output; "" where
            there is none, None where it is more than one module.
        before_head: path of the module between the decoder's output and the head, or "".
        logit_scale: factor of the head's output.
        logit_softcap: cap of the logits, None without one.
    """

    final_norm: str | None
    head: str
    before_head: str
    logit_scale: float
    logit_softcap: float | None


def first_position(model: Any, ids: Tensor, logits: Tensor) -> int:
    """Return the position id that the model gives a row's first token; 0 where it takes none.

    ``logits`` are those of ``ids`` when positions are left to the model. Most models count from 0,
    some from behind the number of the padding token.
    """
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    starts = [0, *([padding + 1] if isinstance(padding, int) else [])]
    counted = torch.arange(ids.shape[1], device=ids.device)[None]
    for start in starts:
        try:
            given = model(input_ids=ids, position_ids=counted + start, use_cache=False).logits
        except (TypeError, IndexError, RuntimeError, ValueError):
            return 0
        if same(given, logits):
            return start
    return 0


def path_of(model: nn.Module, wanted: Any) -> str | None:
    """Return the path at which the model holds the module ``wanted``; None where it does not."""
    return next((path for path, module in model.named_modules() if module is wanted), None)


def find_layers(model: nn.Module, seen: Observation) -> tuple[str, list[Call]]:
    """Return path and calls of the decoder layers.

    Raises:
        WorkbenchError: for a model without such a list.
    """
    single = seen.single()
    found: list[tuple[str, list[Call]]] = []
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module):
            calls = [single.get(f"{path}.{n}") for n in range(len(module))]
            if all(calls) and _is_stack([call for call in calls if call]):
                found.append((path, [call for call in calls if call]))
    if not found:
        raise WorkbenchError(
            "it has no list of decoder layers that are called once each, one after another, with "
            "the residual stream [batch, time, width] going in and out"
        )
    counted = _count(model)
    return max(found, key=lambda item: (len(item[1]) == counted, len(item[1])))


def _count(model: nn.Module) -> int:
    config: Any = model.config
    return int(getattr(config.get_text_config(), "num_hidden_layers", 0) or 0)


def _is_stack(calls: list[Call]) -> bool:
    """Return whether the modules were called in order, each with states of one shape in and out,
    and the first's change is what the next goes on from.
    """
    shapes = {
        tuple(states.shape) if states is not None else None
        for call in calls
        for states in (call.given, call.returned)
    }
    ordered = all(a.order < b.order for a, b in itertools.pairwise(calls))
    one = len(shapes) == 1 and None not in shapes
    deep = all(any(True for _ in call.module.children()) for call in calls)
    chained = all(same(b.given, a.returned) for a, b in itertools.pairwise(calls))
    return ordered and one and deep and (chained or len(calls) == 1)


def streams_of(states: Tensor) -> tuple[Streams, int]:
    """Return how a layer passes on the residual stream of one prompt, from its output, and how many
    numbers there are of it at a token.

    Raises:
        WorkbenchError: for any form but those of :data:`Streams`.
    """
    if states.dim() == 3 and states.shape[0] == 1:
        return "one", states.shape[-1]
    if states.dim() == 4 and states.shape[0] == 1:
        return "inner", states.shape[2] * states.shape[3]
    if states.dim() == 4 and states.shape[1] == 1:
        return "first", states.shape[0] * states.shape[3]
    raise WorkbenchError(f"its layers pass on states of the shape {tuple(states.shape)}")


def find_decoder(model: nn.Module, seen: Observation, layers: str, embedding: str) -> str:
    """Return the path of the smallest module that was called once and holds both paths."""
    called = {call.path for call in seen.calls}
    common: list[str] = []
    for a, b in zip(layers.split("."), embedding.split("."), strict=False):
        if a != b:
            break
        common.append(a)
    for size in range(len(common), -1, -1):
        path = ".".join(common[:size])
        if path in called:
            return path
    raise WorkbenchError("no module that holds layers and embedding was called in a forward")


def find_ends(
    model: nn.Module, seen: Observation, last: Call, decoded: Tensor, head: str, logits: Tensor
) -> Ends:
    """Find what stands between the ``last`` layer's output, the decoder's output ``decoded`` and
    the ``logits``.

    Raises:
        WorkbenchError: where the head reads something other than one module's change of the
            decoder's output, or the logits are no scaled or capped reading of it.
    """
    single = seen.single()
    norm: str | None = "" if same(last.returned, decoded) else None
    if norm is None:
        norm = next(
            (
                path
                for path, call in single.items()
                if call.order > last.order
                and same(call.given, last.returned)
                and same(call.returned, decoded)
            ),
            None,
        )
    reading = single.get(head)
    if reading is None or reading.given is None:
        raise WorkbenchError("its output head is not called once in a forward")
    before = ""
    with torch.no_grad():
        if not _parallel(reading.given, decoded):
            between = [
                path
                for path, call in single.items()
                if same(call.given, decoded) and same(call.returned, reading.given)
            ]
            if between:
                before = between[0]
                decoded = model.get_submodule(before)(decoded)
            else:
                reading = _around(single, head, decoded, reading)
                head = reading.path
        raw = reading.module(decoded).float()
    assert reading.returned is not None
    folded = _factor(reading.returned.float(), raw)
    # Logits that are the head's own are not scaled, nor capped if a cap of up to 100 would show.
    bent = float(logits.abs().max()) ** 2 / (3 * 100**2)
    plain = torch.equal(reading.returned, logits) and bent > torch.finfo(logits.dtype).eps
    scale, cap = (1.0, None) if plain else _scaling(model, head)
    return Ends(norm, head, before, exact_number(model, scale * folded), cap)


def _around(single: Mapping[str, Call], head: str, decoded: Tensor, reading: Call) -> Call:
    """Return the call of the module around the head that reads the decoder's output ``decoded`` and
    returns what the head does.

    Raises:
        WorkbenchError: if there is none.
    """
    parts = head.split(".")
    for size in range(len(parts) - 1, 0, -1):
        call = single.get(".".join(parts[:size]))
        if call and same(call.given, decoded) and same(call.returned, reading.returned):
            return call
    raise WorkbenchError(
        "its output head reads something else than the decoder's last hidden state"
    )


def _factor(a: Tensor, b: Tensor) -> float:
    """Return the number by which ``a`` is ``b``, by least squares."""
    return float((a * b).sum() / b.square().sum().clamp_min(1e-12))


def _parallel(a: Tensor, b: Tensor) -> bool:
    """Return whether ``a`` is one number times ``b``."""
    if a.shape != b.shape:
        return False
    first, second = a.float(), b.float()
    return same(first.to(a.dtype), (_factor(first, second) * second).to(b.dtype))


def _scaling(model: Any, head: str) -> tuple[float, float | None]:
    """Return scale and cap between the head's output and the logits, from a pass in which the head
    returns a ramp of numbers.
    """
    given: list[Tensor] = []

    def ramp(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        steps = torch.logspace(
            math.log10(_SMALLEST), math.log10(_RAMP), output.shape[-1], device=output.device
        )
        steps[::2] *= -1
        given.append(steps.to(output.dtype).expand_as(output).contiguous())
        return given[0]

    handle = model.get_submodule(head).register_forward_hook(ramp)
    try:
        with torch.no_grad():
            ids = torch.zeros((1, 2), dtype=torch.long, device=first_device(model))
            logits = model(input_ids=ids, use_cache=False).logits.float()
    finally:
        handle.remove()
    raw = given[0].float()
    if raw.shape != logits.shape:
        raise WorkbenchError(
            f"its logits have the shape {tuple(logits.shape)} and its head returns "
            f"{tuple(raw.shape)}"
        )
    for cap in (None, *configured_numbers(model)):
        if cap is None:
            inner, outer = given[0], logits
        elif cap > 0:
            clear = logits.abs() < _CLEAR * cap  # beyond, rounding hides what was capped
            inner, outer = given[0][clear], cap * torch.atanh(logits[clear] / cap)
        if (cap is not None and cap <= 0) or inner.numel() < _FEWEST:
            continue
        scale = _factor(outer, inner.float())
        if scale and same(outer.to(inner.dtype), scale * inner, 3.0 if cap else 1.0):
            return scale, cap
    raise WorkbenchError("its logits are no scaled or capped reading of its output head")


def first_device(model: Any) -> torch.device:
    """Return the device on which the model's token embedding computes."""
    weight = model.get_input_embeddings().weight
    if weight.device.type != "meta":
        return torch.device(weight.device)
    return torch.device(execution_device(model.get_input_embeddings()))
