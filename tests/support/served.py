"""Tiny models whose weights stand on the other side of a rehearsed request."""

from __future__ import annotations

import copy

from workbench.models import LanguageModel
from workbench.models.server import attach_server
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.backends.nnsight_service import NnsightService


def serve_copy(lm: LanguageModel) -> LanguageModel:
    """Return the model without its weights; its passes are packed and unpacked as for a server,
    and run on ``lm``.
    """
    served = lm.with_model(copy.deepcopy(lm.model).to("meta"))
    attach_server(served.model, lm.name, NnsightService(NnsightBackend(lm, remote="local")))
    return served
