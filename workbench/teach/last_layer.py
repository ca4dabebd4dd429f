"""The last layer at the places of a loss alone.

Behind a model's last attention nothing moves between columns, so its output projection and its MLP are needed only at the
columns that logits are made at. Keys and values there are still those of all columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from workbench.models import LanguageModel


@contextmanager
def last_layer_at(lm: LanguageModel, places: int) -> Iterator[None]:
    """Passes inside the block end in what they should at their last ``places`` columns, and in nothing of use at the others."""
    row, layers = lm.architecture, lm.layers()
    paths = [path for path in (row.attention_output, row.mlp) if path and places]
    with ExitStack() as stack:
        for path in paths:
            _spare(stack, layers[-1].get_submodule(path), places)
        yield


def _spare(stack: ExitStack, module: nn.Module, places: int) -> None:
    """Give the module the last columns and put zeros for the others in front of what it returns."""
    spared: list[int] = []

    def cut(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden: Tensor = args[0] if args else kwargs["hidden_states"]
        spared.append(hidden.shape[1] - places)
        new = hidden[:, spared[-1] :].contiguous()
        return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

    def pad(module: nn.Module, args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        padded = functional.pad(hidden, (0, 0, spared.pop(), 0))
        return (padded, *output[1:]) if isinstance(output, tuple) else padded

    stack.callback(module.register_forward_pre_hook(cut, with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(pad).remove)
