"""Leave out parts of a pass that only some columns need.

Between attentions nothing moves from column to column, so output projections and MLPs are left out
at padding, which no token sees. In the last layer they are needed only at columns with logits. Keys
and values are still those of all columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from workbench.models import LanguageModel
from workbench.models.layer_output import hidden_argument, with_hidden_argument
from workbench.models.moved_bytes import moved
from workbench.stream.tasks import for_this_task


@contextmanager
def skip_unused_columns(lm: LanguageModel, real: Tensor, places: int) -> Iterator[None]:
    """Leave out the work on columns whose logits are not read.

    Inside the block, logits are valid at the last ``places`` columns of real tokens alone. In the
    last layer attention outputs and MLPs of all other columns are not computed, in the layers
    below those of padding.

    Args:
        real: [rows, columns] bool, on the CPU; false at padding.
        places: how many columns at the end are read.
    """
    row, layers = lm.architecture, lm.layers()
    last = real.clone()
    if places:
        last[:, : real.shape[1] - places] = False
    with ExitStack() as stack:
        for layer, needed in [*((layer, real) for layer in layers[:-1]), (layers[-1], last)]:
            if bool(needed.all()):
                continue
            columns = needed.flatten().nonzero()[:, 0]
            for path in (row.attention_output, row.mlp):
                if path:
                    _only_at(stack, layer.get_submodule(path), columns)
        yield


def _only_at(stack: ExitStack, module: nn.Module, columns: Tensor) -> None:
    """Let the module compute only these of all rows' columns, as one row; its output is zero at the
    others.
    """
    shapes: list[torch.Size] = []

    def cut(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = hidden_argument(args, kwargs)
        shapes.append(hidden.shape)
        new = hidden.flatten(0, 1).index_select(0, moved(columns, hidden.device))[None]
        return with_hidden_argument(args, kwargs, new)

    def spread(module: nn.Module, args: Any, output: Any) -> Any:
        hidden: Tensor = (output[0] if isinstance(output, tuple) else output).flatten(0, -2)
        rows, count, _ = shapes.pop()
        whole = hidden.new_zeros(rows * count, hidden.shape[-1]).index_copy(
            0, moved(columns, hidden.device), hidden
        )
        whole = whole.unflatten(0, (rows, count))
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    stack.callback(module.register_forward_pre_hook(for_this_task(cut), with_kwargs=True).remove)
    stack.callback(module.register_forward_hook(for_this_task(spread)).remove)
