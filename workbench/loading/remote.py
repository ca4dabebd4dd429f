"""Load a model whose weights stay on a server: its configuration, its tokenizer, and modules on the
meta device, which have shapes and no numbers.

Passes are requests through nnsight (:mod:`workbench.trace.backends.nnsight_service`). In a
rehearsal (``where="local"``) the weights are read in this process too, but only the packed and
unpacked requests reach them: the model that the workbench holds stays without weights, so a step
that would read them here fails as it would with a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.server import attach_server
from workbench.models.source import ModelSource
from workbench.models.weights import Kernel, build_empty
from workbench.settings.defaults import REMOTE_RETRIES, REMOTE_WAIT

NDIF, LOCAL = "ndif", "local"


@dataclass(frozen=True)
class RemoteAccess:
    """How a server is reached.

    Attributes:
        where: "ndif", the URL of another server of its protocol, or "local" for a rehearsal.
        retries: how often a lost request is sent again.
        wait: seconds that a request may hear nothing.
    """

    where: str = NDIF
    retries: int = REMOTE_RETRIES
    wait: float = REMOTE_WAIT


NDIF_ACCESS = RemoteAccess()
"""NDIF, with the default patience."""


def require_remote(
    spec: str, source: ModelSource, access: RemoteAccess, *, quantised: bool, precision: str
) -> None:
    """Refuse what a server does not do, before anything is read.

    Raises:
        WorkbenchError: for an address that is none, a local model that no server knows, weights to
            be quantised, and products in another precision than the server's.
    """
    where = access.where
    if where not in (NDIF, LOCAL) and not where.startswith(("http://", "https://")):
        raise WorkbenchError(
            f"model.remote is {where!r}: set it to ndif, to the http:// or https:// address of a "
            "server, or to local for a rehearsal"
        )
    if source.local and where != LOCAL:
        raise WorkbenchError(
            f"a server knows models by hub id, and {spec!r} is a model on this machine: give its "
            "hub id, or rehearse with model.remote=local"
        )
    if quantised:
        raise WorkbenchError(
            "a server decides how it holds its weights: set model.quantize=none with "
            "model.placement=ndif"
        )
    if precision != "float32":
        raise WorkbenchError(
            "a server multiplies in the dtype of its weights: set model.precision=auto or float32 "
            "with model.placement=ndif"
        )


def build_without_weights(
    config: Any, dtype: torch.dtype, attention: Kernel, trust_remote_code: bool
) -> Any:
    """Return the transformers model of a configuration on the meta device, frozen."""
    model = build_empty(
        config, dtype, attention, trust_remote_code=trust_remote_code, with_buffers=False
    )
    return model.to("meta")


def connect(
    lm: LanguageModel,
    access: RemoteAccess,
    revision: str | None,
    read_weights: Callable[[], Any],
) -> None:
    """Attach to a model without weights what computes its passes.

    Args:
        revision: of the model on the server, None for its default.
        read_weights: reads the weights, for a rehearsal.

    Raises:
        WorkbenchError: without a key for NDIF, and for a model without a hub id.
    """
    # nnsight takes a second to import, and only models on servers need it.
    from workbench.trace.backends.nnsight import NnsightBackend
    from workbench.trace.backends.nnsight_service import NnsightService

    if access.where == LOCAL:
        backend = NnsightBackend(lm.with_model(read_weights()), remote=LOCAL)
    else:
        backend = NnsightBackend(
            lm,
            remote=True if access.where == NDIF else access.where,
            revision=revision,
            retries=access.retries,
            most_seconds=access.wait,
        )
    attach_server(lm.base(), lm.name, NnsightService(backend))
