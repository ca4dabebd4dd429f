"""Read the weights of one decoder layer at a time, the next one ahead in a thread, and count what
is read.

A layer is filled in place: its modules get the parameters that were read, and their placeholders on
the meta device back when it is emptied. At most two layers are held, the one in use and the one
after it. Weights that keep dtype and device of their file stay views of it and cost no copy;
others are converted, quantised or copied to the device while they are read.

``bytes_read`` counts the bytes of all stored tensors that were read, whether the disk or the
system's memory of files gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from workbench.stream.checkpoint_names import ParameterSource
from workbench.stream.device_copies import DeviceCopies, to_device
from workbench.stream.stored_tensors import StoredTensor, touch_pages

Slot = tuple[nn.Module, str]
"""The module that holds a parameter or buffer, and its name there."""
Quantise = Callable[[Slot, Tensor], Tensor]
"""A function from a slot and the plain weight for it to the weight that is put there."""


@dataclass
class ReadCounts:
    """What was read so far: bytes, and how often each layer."""

    bytes_read: int = 0
    reads: dict[int, int] = field(default_factory=dict)

    @property
    def passes(self) -> int:
        """The most often that any layer was read."""
        return max(self.reads.values(), default=0)


class LayerWeights:
    """The weights of a model's decoder layers in its files.

    Args:
        model: the transformers model; its layers' parameters are on the meta device.
        sources: of each layer's parameters.
        device: where layers compute.
        quantise: applied to what is read; None for plain weights.
    """

    def __init__(
        self,
        model: Any,
        sources: Sequence[Sequence[ParameterSource]],
        device: torch.device,
        quantise: Quantise | None = None,
    ) -> None:
        self.model, self.sources, self.device = model, sources, device
        self.quantise = quantise
        self._copies = DeviceCopies(device)
        self.counts = ReadCounts()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="layer-reader")
        self._ahead: tuple[int, Future[tuple[dict[str, Tensor], Any]]] | None = None
        self._slots = [
            {name: slot_of(model, name) for source in layer for name in source.names(model)}
            for layer in sources
        ]
        self._filled: set[int] = set()
        self._in_shape = False

    def __len__(self) -> int:
        return len(self.sources)

    def nbytes(self, layer: int) -> int:
        """Return the bytes of a layer in the files."""
        return sum(source.nbytes for source in self.sources[layer])

    def held_bytes(self, layer: int) -> int:
        """Return the bytes a layer takes in memory, in the dtypes it computes in."""
        held = [getattr(module, leaf) for module, leaf in self._slots[layer].values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def is_filled(self, layer: int) -> bool:
        """Return whether the layer's weights are in place."""
        return layer in self._filled

    def read_ahead(self, layer: int) -> None:
        """Begin to read a layer, unless one is being read ahead already."""
        if self._ahead is None and layer not in self._filled and layer < len(self):
            self._ahead = (layer, self._reader.submit(self._read, layer))

    def drop_ahead(self) -> None:
        """Wait for what is read ahead, and drop it."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead[1].result()

    def fill(self, layer: int, ahead: int | None) -> None:
        """Put the layer's weights in place, and begin to read the layer ``ahead``, if any."""
        if layer in self._filled:
            return
        if self._ahead is not None and self._ahead[0] != layer:
            self.drop_ahead()
        self.read_ahead(layer)
        reading, self._ahead = self._ahead, None
        assert reading is not None
        weights, copied = reading[1].result()
        self._copies.wait(copied, weights.values())
        if ahead is not None:
            self.read_ahead(ahead)
        for name, slot in self._slots[layer].items():
            put(slot, weights[name])
        self._filled.add(layer)

    def empty(self, layer: int) -> None:
        """Put placeholders where the layer's weights were, and so free their memory."""
        self._filled.discard(layer)
        for module, leaf in self._slots[layer].values():
            put((module, leaf), self._placeholder(getattr(module, leaf)))

    @contextmanager
    def placeholders_on_device(self) -> Iterator[None]:
        """Have placeholders on the device inside the block, which take no memory and hold NaN.

        Libraries put what they add to a weight, or the whole model, where the weight is, and
        cannot move what is on the meta device.
        """
        if self._in_shape:
            yield
            return
        self._in_shape = True
        try:
            self._renew_placeholders()
            yield
        finally:
            self._in_shape = False
            self._renew_placeholders()

    def _renew_placeholders(self) -> None:
        for layer in set(range(len(self))) - self._filled:
            self.empty(layer)

    def _placeholder(self, old: Tensor) -> Tensor:
        if not self._in_shape:
            return torch.empty(old.shape, dtype=old.dtype, device="meta")
        number = float("nan") if old.is_floating_point() else 0
        return torch.full((), number, dtype=old.dtype, device=self.device).expand(old.shape)

    def close(self) -> None:
        """End the reading thread."""
        self.drop_ahead()
        self._reader.shutdown()

    def _read(self, layer: int) -> tuple[dict[str, Tensor], Any]:
        dtypes = {
            name: getattr(module, leaf).dtype for name, (module, leaf) in self._slots[layer].items()
        }
        with self._copies.aside():
            weights = read_parameters(self.model, self.sources[layer], dtypes, self.device)
            if self.quantise is not None:
                slots, plain = self._slots[layer], weights
                weights = {name: self.quantise(slots[name], part) for name, part in plain.items()}
        self.counts.bytes_read += self.nbytes(layer)
        self.counts.reads[layer] = self.counts.reads.get(layer, 0) + 1
        return weights, self._copies.mark()


def read_parameters(
    model: Any,
    sources: Sequence[ParameterSource],
    dtypes: Mapping[str, torch.dtype],
    device: torch.device,
) -> dict[str, Tensor]:
    """Return the parameters that ``sources`` make, by name, in the ``dtypes`` given for their names
    and on ``device``.
    """
    return {
        name: _placed(value, dtypes[name], device)
        for source in sources
        for name, value in source.parameters(model, _read_mapped).items()
    }


def put(slot: Slot, value: Tensor) -> None:
    """Put ``value`` where a module holds a parameter, frozen, or a buffer."""
    module, leaf = slot
    is_parameter = isinstance(getattr(module, leaf), nn.Parameter)
    if is_parameter and not isinstance(value, nn.Parameter):
        value = nn.Parameter(value, requires_grad=False)
    setattr(module, leaf, value)


def slot_of(model: nn.Module, name: str) -> Slot:
    """Return where ``model`` holds the parameter or buffer ``name``."""
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf


def _read_mapped(part: StoredTensor) -> Tensor:
    view = part.map()
    touch_pages(view)
    return view


def _placed(value: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return to_device(value.to(dtype) if value.is_floating_point() else value, device)
