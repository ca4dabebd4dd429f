"""Record and patch with nnsight: one session of traces on the model that is already loaded, here or
on an NDIF server.

A sweep is one session: a trace without interventions and one for each branch, so that it reaches a
server as a single request. Each trace runs a plain forward of the left-padded prompts; nothing is
packed. Sites come in the order the forward reaches them, as nnsight requires, and states are
written in place (see :mod:`workbench.trace.backends.places`).

The session (:mod:`workbench.trace.backends.nnsight_session`) is sent to a server by its source, and
so is the readout, which runs there so that only its result comes back: write it as a function or
lambda that needs torch alone.

nnsight reads a server's answer through pickle; here only tensors and plain data are taken from it
(:mod:`workbench.trace.backends.nnsight_answers`), and an answer with anything else is refused
unread. It shows the job's state on the terminal unless ``nnsight.CONFIG.APP.REMOTE_LOGGING`` is
off.

nnsight replaces the ``forward`` of every module it watches. Here the model is wrapped for the
length of a call and every module gets its own back. A PEFT model runs as it is; on a server the
adapter is named by ``peft`` and the model here must be the one without it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from nnsight import CONFIG
from nnsight.modeling import peft as nnsight_peft
from nnsight.modeling.transformers import TransformersModel
from peft import PeftModel
from torch import Tensor, nn

from workbench.compat import remote_environment
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.inputs import (
    BatchWrite,
    model_inputs,
    require_every_token,
    require_whole_model,
)
from workbench.trace.backends.nnsight_answers import PlainRemote
from workbench.trace.backends.nnsight_errors import answered
from workbench.trace.backends.nnsight_session import Step, run_session
from workbench.trace.backends.nnsight_steps import send_by_value, step_of
from workbench.trace.backends.places import forward_order, places_of
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.backends.strings import join_strings, record_strings, string_batches
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree
from workbench.trace.unpadded import String

MISSING = object()
ATTACHED = ("forward", "__nnsight__", "__nnsight_body_forward__", "_persistent_id")


@dataclass(frozen=True, eq=False)
class NnsightBackend:
    """A backend on nnsight, which runs traces here or on a server.

    Attributes:
        lm: the model; on a server its weights are not used, so they may be on the meta device.
        remote: False runs here; "local" runs here after the request was packed and unpacked as for
            a server, with the modules a server lacks hidden; True runs on NDIF with nnsight's API
            key; a URL runs on that server.
        peft: hub id (or, run here, folder) of an adapter to put on for the length of a call.
        repo: the model's hub id for a server, when it is not ``lm.name``.
        revision: the model's revision on the server; None is the server's default.
        retries: how often a request is sent again that was lost on its way to a server.
        most_seconds: how long a request may hear nothing from a server; None for ever.

    Raises:
        WorkbenchError: for a tensor-parallel model, an adapter given twice, and, on a server, a
            PEFT model, a missing API key and a model without a hub id.
    """

    lm: LanguageModel
    remote: bool | str = False
    peft: str | None = None
    repo: str | None = None
    revision: str | None = None
    retries: int = 0
    most_seconds: float | None = None

    def __post_init__(self) -> None:
        require_whole_model(self.lm, "nnsight")
        wrapped = isinstance(self.lm.model, PeftModel) or bool(
            getattr(self.lm.base(), "peft_config", None)
        )
        if self.peft is not None and wrapped:
            raise WorkbenchError(
                "The nnsight backend got a PEFT model and peft=, so the adapter is there twice; "
                "give one of them."
            )
        if not self.on_server:
            return
        if wrapped:
            raise WorkbenchError(
                "A server attaches adapters itself: give the model without it and "
                "peft='org/adapter'."
            )
        if self.remote is True and not CONFIG.API.APIKEY:
            raise WorkbenchError(
                "NDIF needs an API key: set NDIF_API_KEY before Python starts, or store it once "
                "with "
                "nnsight.CONFIG.set_default_api_key('...')."
            )
        if Path(self._hub_id).expanduser().exists() or "/" not in self._hub_id:
            raise WorkbenchError(
                f"A server knows models by hub id and {self._hub_id!r} is none: give "
                "repo='org/name'."
            )

    @property
    def on_server(self) -> bool:
        """Whether passes run on a server, and not here."""
        return self.remote not in (False, "local")

    @property
    def _hub_id(self) -> str:
        return self.repo or self.lm.name

    def record(
        self,
        prompts: TokenRows,
        positions: PositionRows,
        sites: Sequence[Site],
        *,
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Record states as :class:`~workbench.trace.backends.protocol.Backend` says, in one trace.

        Raises:
            WorkbenchError: as there, for a switched-on adapter on a prompt's last tokens, and where
                a server fails.
        """
        require_every_token(self.lm, "nnsight")

        def states(strings: list[String], tokens: list[list[int]]) -> Tensor:
            batch = pad_prompts(
                [string.tokens for string in strings], self.lm.tokenizer.pad_token_id, self.device
            )
            columns = batch.column_of(torch.tensor(tokens))
            rows = torch.arange(batch.rows, device=columns.device)
            order = sorted(range(len(sites)), key=lambda index: forward_order(sites[index]))
            places = places_of(self.lm, [sites[index] for index in order])
            steps = [step_of(place, rows, columns) for place in places]
            [[found]] = self._answers([(batch, [steps])], None)
            back = sorted(range(len(order)), key=order.__getitem__)
            return torch.stack([found[index].to(self.device) for index in back], dim=1)

        return record_strings(self.lm, prompts, positions, sites, tree, states)

    def patch(
        self,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        *,
        tokens_per_forward: int,
        tree: TokenTree = NO_TREE,
    ) -> Patched:
        """Patch branches as :class:`~workbench.trace.backends.protocol.Backend` says, in one
        session with a trace for each branch and one without.

        Raises:
            WorkbenchError: as there, for a switched-on adapter on a prompt's last tokens, and where
                a server fails.
        """
        require_every_token(self.lm, "nnsight")
        batches = string_batches(self.lm, prompts, branches, tree, tokens_per_forward, self.device)
        runs = [
            (batch.prompts, [self._steps(writes) for writes in ((), *batch.programs)])
            for batch in batches
        ]
        if self.remote:
            send_by_value(readout)
        answers = self._answers(runs, readout)
        readings = ([read.to(self.device) for read in answer] for answer in answers)
        return join_strings(batches, readings, len(prompts), tree)

    def _steps(self, writes: Sequence[BatchWrite]) -> list[Step]:
        places = places_of(self.lm, [write.site for write in writes])
        return [
            step_of(place, write.rows, write.columns[:, None], write)
            for place, write in zip(places, writes, strict=True)
        ]

    def _answers(
        self, runs: Sequence[tuple[Prompts, list[list[Step]]]], readout: Readout | None
    ) -> Any:
        """Return the session's answers.

        Raises:
            WorkbenchError: as :meth:`run` does.
        """
        inputs = [(model_inputs(batch), programs) for batch, programs in runs]
        return self.run(lambda model, where: run_session(model, where, inputs, readout))

    def run(self, session: Callable[[Any, dict[str, Any]], Any]) -> Any:
        """Return what ``session`` returns of nnsight's wrapper of the model and of the arguments
        that say where it runs, one request.

        Raises:
            WorkbenchError: for whatever a server, or the connection to it, raises.
        """

        def ask() -> Any:
            with self._model() as model:
                return session(model, self._where(model))

        return answered(ask, self._hub_id, self.retries) if self.on_server else ask()

    def _where(self, model: Any) -> dict[str, Any]:
        """Return the session's arguments that say where it runs; for a server, a client that
        unpickles plain data alone.
        """
        if not self.on_server:
            return {"remote": self.remote}
        host = self.remote if isinstance(self.remote, str) else None
        key, env = model.to_model_key(), remote_environment(model)
        return {"backend": PlainRemote(key, host=host, env=env, most_seconds=self.most_seconds)}

    @property
    def device(self) -> torch.device:
        """The device of what is sent and of what comes back."""
        return torch.device("cpu") if self.on_server else self.lm.device

    @contextmanager
    def _model(self) -> Iterator[Any]:
        """Yield the loaded model inside nnsight's wrapper; nothing of it is left on the model
        afterwards.
        """
        base = self.lm.base()
        attach = self.peft is not None and not self.on_server
        # Left to itself the pipeline inside the wrapper moves the model to the first accelerator.
        placed = {"device": base.device} if getattr(base, "hf_device_map", None) is None else {}
        with _untouched(base):
            try:
                model = TransformersModel(
                    base,
                    task="text-generation",
                    # nnsight tags the tokenizer with an id; the copy shares its vocabulary.
                    tokenizer=copy.copy(self.lm.tokenizer),
                    revision=self.revision,
                    peft=self.peft if attach else None,
                    **placed,
                )
                if self.on_server:
                    model.repo_id, model.peft = self._hub_id, self.peft
                yield model
            finally:
                if attach:
                    nnsight_peft.detach(base)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Give every module back the attributes that nnsight replaces, and every parameter that needed
    a gradient its need of one.
    """
    before = [
        (module, {name: vars(module).get(name, MISSING) for name in ATTACHED})
        for module in model.modules()
    ]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        yield
    finally:
        for module, attributes in before:
            for name, value in attributes.items():
                vars(module).pop(name, None)
                if value is not MISSING:
                    vars(module)[name] = value
        for parameter in trained:
            parameter.requires_grad_(True)
