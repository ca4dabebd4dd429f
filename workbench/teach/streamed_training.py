"""Train an adapter on a model whose layers are read from files.

The states below the adapter are computed once, in one pass through the layers there. Where the
layers from its first on fit into a bound they are held in memory for the training, which is then
that of any model. Otherwise each optimiser step reads them twice, forward and back, for all the
batches it accumulates (:mod:`workbench.stream.layer_tape`): many batches a step cost no more
reading than one. Losses and gradients are those of the model in memory; sums over batches keep
their order. Dropout draws the same masks for steps of one batch; in steps of several it draws other
masks, because batches take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.stream.gates import LayerStream
from workbench.stream.layer_tape import accumulate_gradients, randomness_of
from workbench.stream.model import stream_of
from workbench.teach.dropout import MaskPool
from workbench.teach.target_trainer import TargetTrainer
from workbench.teach.training_forward import Passes


def fits(stream: LayerStream, first: int, most_bytes: int) -> bool:
    """Return whether the layers from ``first`` on take at most ``most_bytes`` of memory."""
    layers = range(first, len(stream.gates))
    return sum(map(stream.weights.held_bytes, layers)) <= most_bytes


@contextmanager
def trained_layers(lm: LanguageModel, first: int, most_bytes: int) -> Iterator[bool]:
    """Make a model ready to be trained from layer ``first`` on inside the block; yield whether its
    layers are read at each step. A model in memory is left alone.
    """
    stream = stream_of(lm)
    if stream is None:
        yield False
        return
    with stream.weights.placeholders_on_device():
        if not fits(stream, first, most_bytes):
            yield True
            return
        with stream.held(range(first, len(stream.gates))):
            yield False


def largest_input(passes: Passes, batch_size: int) -> int:
    """Return the most numbers that the dropout of one adapter module gets in a pass."""
    columns = max([*passes.sizes, len(passes.shared)])
    wide = [
        module.in_features for module in passes.lm.model.modules() if isinstance(module, LoraLayer)
    ]
    return batch_size * columns * max(wide, default=0)


class StreamedTrainer(TargetTrainer):
    """A trainer that takes all the batches of an optimiser step through a layer before the next is
    read, forward and back.
    """

    def __init__(
        self, passes: Passes, *args: Any, pool: MaskPool | None = None, **options: Any
    ) -> None:
        """Raise a WorkbenchError for a loss that makes passes of its own."""
        if any(passes.extra_tokens):
            raise WorkbenchError(
                "this recipe's loss makes passes of its own through layers that do not stay in "
                "memory: set teach.resident_bytes to what the layers from teach.start_layer on "
                "take, or model.placement=device"
            )
        super().__init__(passes, *args, **options)
        self._random = randomness_of(passes.lm.device)
        if pool is not None:
            self._random.append((pool.state, pool.put_state))
        self._step: list[Any] = []
        self._losses: list[Tensor] = []

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Return the batches of an optimiser step, and keep them."""
        found = super().get_batch_samples(*args, **kwargs)
        self._step, self._losses = list(found[0]), []
        return found

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Return the loss of the next batch of a step; the first call differentiates them all."""
        if not self._losses:
            model.train()
            stream = stream_of(self.passes.lm)
            assert stream is not None
            works = [partial(self._share_of_loss, model, batch) for batch in self._step]
            first = self.passes.first
            self._losses = accumulate_gradients(stream, first, works, self._random)
        return self._losses.pop(0)

    def _share_of_loss(self, model: Any, batch: Any) -> Tensor:
        loss: Tensor = self.compute_loss(model, batch) / len(self._step)
        return loss
