"""Say which tokens an adapter acts on.

An adapter may act on every token, or on the prompt's last tokens and what follows them alone
(activated LoRA, Greenewald et al. 2025, arXiv 2504.12397). Then the base model reads everything
before them and makes its keys and values, and neither the adapter nor its training can change them.
PEFT finds where such an adapter starts by its invocation tokens; a packed pass has other columns
after the prompt, so here each pass is told at which column the adapter starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from peft.tuners.lora import LoraLayer
from torch import nn

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel


def active_invocation(lm: LanguageModel) -> int | None:
    """Return how many of a prompt's last tokens the adapter acts on now; None for all, and while
    the adapter is off.
    """
    if lm.invocation_length is None or not any(
        not module.disable_adapters for module in _adapted(lm)
    ):
        return None
    return lm.invocation_length


@contextmanager
def invoke_adapter_from(lm: LanguageModel, column: int) -> Iterator[None]:
    """Let an adapter that acts on a prompt's last tokens act on the columns from ``column`` on.
    Other models are left alone.

    Columns count from a pass's first one; columns added while it runs come after them and are acted
    on. What a block says holds for its own context alone, so that passes may take turns.
    """
    if lm.invocation_length is None:
        yield
        return

    def starts(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        first = _first_column.get()
        if first is None:
            return None
        if args[0].dim() != 3:
            raise WorkbenchError(
                "An adapter on a prompt's last tokens cannot act on modules that see tokens "
                "without their place, such as "
                "experts; leave them out of teach.lora.target_modules or set "
                "teach.adapter_scope=conversation."
            )
        rows, columns = args[0].shape[:2]
        return args, {**kwargs, "alora_offsets": [max(0, columns - first)] * rows}

    with ExitStack() as stack:
        stack.callback(_first_column.reset, _first_column.set(column))
        for module in _adapted(lm):
            stack.callback(module.register_forward_pre_hook(starts, with_kwargs=True).remove)
        yield


def first_invoked_column() -> int | None:
    """Return the column from which :func:`invoke_adapter_from` lets adapters act now."""
    return _first_column.get()


_first_column: ContextVar[int | None] = ContextVar("adapter_first_column", default=None)


def _adapted(lm: LanguageModel) -> list[Any]:
    return [module for module in lm.model.modules() if isinstance(module, LoraLayer)]
