"""Mark a language model whose weights lie on a server, and say what computes its passes there.

Such a model has its configuration, its tokenizer and modules on the meta device, which have shapes
and no numbers. What is asked of prompts goes to the object that is attached to it; whatever would
run or read the weights in this process is refused in a sentence. Guards on its modules refuse
passes that nothing sends to the server, which would otherwise return shapes without numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.models.language_model import LanguageModel

MARK = "workbench_server"


@dataclass(frozen=True, eq=False)
class Written:
    """What a server returns of a batch of prompts.

    Attributes:
        asked: [rows, 1 + nodes, tokens] log-probabilities of the tokens that were asked for, at
            each prompt's end and at the nodes after it.
        tokens: the generated token ids of each row, the one that ended it included.
        scores: [rows, steps] the log-probability of each generated token, in nats; entries past a
            row's end mean nothing.
        states: [rows, layers, positions, width], None where none were asked for.
    """

    asked: Tensor
    tokens: list[list[int]]
    scores: Tensor
    states: Tensor | None


class Server(Protocol):
    """An object that computes passes of a model whose weights are not here, one request a call."""

    def record(self, lm: Any, prompts: Any, positions: Any, sites: Any, tree: Any) -> Tensor:
        """Return states as :func:`workbench.trace.record.record` does."""
        ...

    def patch(
        self,
        lm: Any,
        prompts: Any,
        branches: Any,
        readout: Any,
        tokens_per_forward: int,
        tree: Any,
        looped: bool,
    ) -> Any:
        """Return readouts as :func:`workbench.trace.packed.patch_branches` does."""
        ...

    def write(
        self,
        lm: Any,
        prompts: Sequence[Sequence[int]],
        *,
        limit: int,
        stop: Tensor,
        tree: Any = ...,
        asked: Sequence[int] = ...,
        positions: Sequence[Sequence[int]] | None = ...,
    ) -> Written:
        """Read log-probabilities of the tokens ``asked`` after the prompts and at the nodes of
        ``tree``, states at ``positions`` after every layer, and the greedy continuation of at most
        ``limit`` tokens up to one of ``stop`` [vocab].
        """
        ...


def attach_server(model: Any, name: str, where: Server) -> None:
    """Attach what computes the passes of a transformers ``model`` on the meta device, called
    ``name`` in errors, and guard the modules whose calls would compute nothing.
    """
    setattr(model, MARK, where)
    for module in model.modules():
        module.register_forward_pre_hook(_refusing(name))


def server_of(lm: LanguageModel) -> Server | None:
    """Return what computes the model's passes on a server; None for a model in this process."""
    found: Server | None = getattr(lm.base(), MARK, None)
    return found


def require_weights_here(lm: LanguageModel, what: str) -> None:
    """Refuse a model on a server for ``what``, which needs its weights in this process.

    Raises:
        WorkbenchError: for such a model.
    """
    if server_of(lm) is not None:
        raise WorkbenchError(f"{what} {_needs(lm.name)}")


def _refusing(name: str) -> Callable[..., None]:
    def refuse(module: Any, args: Any) -> None:
        raise WorkbenchError(f"this pass {_needs(name)}")

    return refuse


def _needs(name: str) -> str:
    return (
        f"needs the weights of {name!r} in this process, and they are on a server: set "
        "model.placement=device, or stream for a model larger than memory"
    )
