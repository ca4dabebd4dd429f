"""Adapt the transformers Trainer to targets: batches built from examples where the model is, any
loss on their logits, LoRA+ rates, and a log of tokens.

Every batch is a function of the seed, so a resumed run repeats those of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer

from workbench.compat import TrainerHooks
from workbench.files.processes import gather
from workbench.models.moved_bytes import moved
from workbench.teach.checkpoints import diverged
from workbench.teach.losses import Loss
from workbench.teach.sampler import SeededOrder, WholeBatches
from workbench.teach.training_forward import Passes

TOKENS = "tokens"
EXTRA_MODULE_FILE = "beside.safetensors"


class Numbers(Dataset[dict[str, int]]):
    """A data set of the examples' numbers; a batch is built where the model is."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, int]:
        return {"row": index}


class TargetTrainer(TrainerHooks, Trainer):
    """A Trainer that builds its batches from examples and whose batches a resumed run repeats.

    It logs the tokens computed so far and the means of the ``logged`` values over a step's batches.
    """

    def __init__(
        self,
        passes: Passes,
        loss: Loss,
        loraplus_lr_ratio: float,
        extra_module: nn.Module | None,
        measured: Mapping[str, Loss],
        **options: Any,
    ) -> None:
        super().__init__(
            train_dataset=Numbers(len(passes.examples)), data_collator=_rows, **options
        )
        self.passes, self.loss, self.loraplus_lr_ratio, self.extra_module = (
            passes,
            loss,
            loraplus_lr_ratio,
            extra_module,
        )
        self.measured, self.found = measured, {name: list[float]() for name in measured}
        self.model_accepts_loss_kwargs = False

    def train_sampler(self) -> SeededOrder | WholeBatches:
        # Of the batches of all processes together, so that their number changes no step.
        together = self.args.per_device_train_batch_size * self.args.world_size
        order = SeededOrder(self.passes.lengths, together, self.args.seed)
        return order if self.args.world_size == 1 else WholeBatches(order)

    def create_optimizer(self, model: Any = None) -> Any:
        self.optimizer = loraplus(
            self.model, self.args.learning_rate, self.loraplus_lr_ratio, self.args.weight_decay
        )
        return self.optimizer

    def save_extra(self, folder: Path) -> None:
        if self.extra_module is not None:
            save_file(self.extra_module.state_dict(), folder / EXTRA_MODULE_FILE)

    def load_extra(self, folder: Path) -> None:
        if self.extra_module is not None:
            self.extra_module.load_state_dict(load_file(folder / EXTRA_MODULE_FILE))

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        rows, count = inputs["rows"].tolist(), len(self.passes.examples)
        numbers = [row % count for row in rows]
        logits = self.passes.logits(model, numbers)
        real = sum(row < count for row in rows)
        # A process with nothing but rows that fill up makes the step too; its loss weighs nothing.
        own = slice(real or None)
        loss = moved(self.loss(numbers[own], logits[own]), self.args.device)
        if not bool(torch.isfinite(loss)):
            raise diverged(Path(self.args.output_dir), self.state.global_step)
        together = self._measure(numbers[:real], logits[:real].detach())
        if self.args.world_size > 1:
            # The mean over processes is to be the mean over rows.
            loss = loss * (real * self.args.world_size / together)
        return (loss, {"logits": logits}) if return_outputs else loss

    def _measure(self, numbers: Sequence[int], logits: Tensor) -> int:
        """Count tokens and take what is logged, over the rows of all processes; return how many
        rows those are.
        """
        measured = [
            float(each(numbers, logits)) if numbers else 0.0 for each in self.measured.values()
        ]
        every = gather((len(numbers), self.passes.tokens(numbers), measured))
        counts = [count for count, _, _ in every]
        # The state is saved with every checkpoint, so a resumed run goes on counting.
        self.state.num_input_tokens_seen += sum(tokens for _, tokens, _ in every)
        for place, name in enumerate(self.measured):
            self.found[name].append(
                float(np.average([values[place] for _, _, values in every], weights=counts))
            )
        return sum(counts)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            means = {name: float(np.mean(values)) for name, values in self.found.items()}
            logs = {**logs, **means, TOKENS: self.state.num_input_tokens_seen}
            self.found = {name: [] for name in self.found}
        super().log(logs, start_time)


def loraplus(
    model: Any, learning_rate: float, loraplus_lr_ratio: float, weight_decay: float
) -> Any:
    """Return AdamW with the B matrices at ``loraplus_lr_ratio`` times the rate (LoRA+, Hayou et al.
    2024, arXiv 2402.12354).

    B starts at zero, and at one rate for both the first half of a short training goes by before A
    has anything to do.
    """
    optimizer = create_loraplus_optimizer(
        model=model,
        optimizer_cls=torch.optim.AdamW,
        lr=learning_rate,
        loraplus_lr_ratio=loraplus_lr_ratio,
        loraplus_weight_decay=weight_decay,
    )
    # Torch loads no sharded optimiser that has groups without parameters.
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
    return optimizer


def _rows(items: list[dict[str, int]]) -> dict[str, Tensor]:
    return {"rows": torch.tensor([item["row"] for item in items])}
