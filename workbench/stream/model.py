"""Say of a language model whether it is streamed, what it has read, and what it cannot be used for.

What reads the weights of layers outside of a pass, or differentiates passes, needs them in memory:
analyses of the weights themselves, gradients, other libraries. These refuse a streamed model; all
that is a pass over prompts does not. An adapter is small, stays in memory, and is put around the
placeholders of the weights (:func:`weights_in_shape`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.server import require_weights_here
from workbench.stream.gates import LayerStream, gate_of
from workbench.stream.skeleton import layers_path

LEAST_LAYERS = 2


def stream_of(lm: LanguageModel) -> LayerStream | None:
    """Return what reads the model's layers; None for a model in memory."""
    gate = gate_of(lm.layers()[0])
    return None if gate is None else gate.stream


def require_in_memory(lm: LanguageModel, what: str) -> None:
    """Refuse a streamed model, or one on a server, for what needs its layers in memory.

    Raises:
        WorkbenchError: for such a model, naming ``what``.
    """
    require_weights_here(lm, what)
    if stream_of(lm) is not None:
        raise WorkbenchError(
            f"{what} needs every layer of {lm.name!r} in memory, and it is read layer by layer: "
            "set model.placement=device"
        )


@contextmanager
def weights_in_shape(lm: LanguageModel) -> Iterator[None]:
    """Give the weights of a streamed model placeholders of their shape, dtype and device inside the
    block (:meth:`workbench.stream.layer_weights.LayerWeights.placeholders_on_device`). A model in
    memory is left alone.
    """
    stream = stream_of(lm)
    with nullcontext() if stream is None else stream.weights.placeholders_on_device():
        yield


@contextmanager
def only_first_layers(model: Any, name: str) -> Iterator[None]:
    """Cut a transformers model, called ``name`` in errors, down to its first layers inside the
    block: as many as show every kind of layer it has, two at least.

    What holds for the passes of these holds for those of all, because the others are of the same
    kinds; a whole model is read only for what is asked of it.
    """
    config, path = model.config.get_text_config(), layers_path(model, name)
    holder, _, leaf = path.rpartition(".")
    parent, layers = model.get_submodule(holder), model.get_submodule(path)
    before, count = config.num_hidden_layers, _showing_all(layers, config)
    setattr(parent, leaf, nn.ModuleList(list(layers)[:count]))
    config.num_hidden_layers = count
    try:
        yield
    finally:
        setattr(parent, leaf, layers)
        config.num_hidden_layers = before


def _showing_all(layers: Any, config: Any) -> int:
    """Return how many first layers show every kind: of attention, and of parts."""
    types = getattr(config, "layer_types", None) or [""] * len(layers)
    kinds = [
        (kind, tuple((name, tuple(value.shape)) for name, value in layer.named_parameters()))
        for kind, layer in zip(types, layers, strict=False)
    ]
    first = {kind: kinds.index(kind) for kind in kinds}
    return min(len(layers), max(LEAST_LAYERS, 1 + max(first.values())))
