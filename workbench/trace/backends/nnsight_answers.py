"""Read the answers of an nnsight server: tensors, numbers, text and their containers, and nothing
that could run.

nnsight reads a server's status and its result with ``torch.load``, which unpickles whatever it is
sent, so a server, or anyone in between, could run code here. This client reads the same bytes with
an unpickler that allows only the names a tensor and a status are made of; an answer that names
anything else is refused before any of it is built. TorchScript archives, which ``torch.load`` would
hand to another loader, are refused too.

It does not guard against wrong numbers. A server runs what it is sent; this is about what comes
back.
"""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from types import SimpleNamespace
from typing import Any

import torch
import zstandard
from nnsight.intervention.backends.remote import RemoteBackend
from nnsight.schema.response import ResponseModel

from workbench.errors import WorkbenchError
from workbench.trace.backends.nnsight_errors import QueueTimeoutError

NAMES = {
    ("torch._utils", "_rebuild_tensor_v2"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("nnsight.schema.response", "Status"),
}


class PlainUnpickler(pickle.Unpickler):
    """An unpickler that finds :data:`NAMES` alone; it never looks up the storages of tensors."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the object that an answer names.

        Raises:
            WorkbenchError: for a name that is not in :data:`NAMES`.
        """
        if (module, name) not in NAMES:
            raise WorkbenchError(
                f"The server's answer names {module}.{name}, which is no part of a tensor, so none "
                "of it was read: have the "
                "readout give tensors, and name only servers you trust."
            )
        return super().find_class(module, name)


def _load(file: Any, **options: Any) -> Any:
    return PlainUnpickler(file, **options).load()


PLAIN = SimpleNamespace(__name__="plain", Unpickler=PlainUnpickler, load=_load)


def plain(content: bytes) -> Any:
    """Load what ``torch.save`` wrote into ``content``, on the CPU.

    Raises:
        WorkbenchError: for content that is not plain data in the format of ``torch.save``.
    """
    try:
        members = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except zipfile.BadZipFile as error:
        raise WorkbenchError(
            "The server's answer is not what torch.save writes, so none of it was read."
        ) from error
    if any(name.endswith("constants.pkl") for name in members):
        raise WorkbenchError(
            "The server's answer is a TorchScript archive, so none of it was read."
        )
    return torch.load(
        io.BytesIO(content), map_location="cpu", pickle_module=PLAIN, weights_only=False
    )


class Patience:
    """What nnsight's client shows its waiting on: nothing is shown, and a request that hears
    nothing for ``seconds`` is given up.
    """

    enabled = True  # the client then looks up between messages, instead of waiting for the next

    def __init__(self, seconds: float) -> None:
        self.seconds, self.heard = seconds, time.monotonic()

    def update(self, response: Any) -> None:
        """Note that the service said something."""
        self.heard = time.monotonic()

    def refresh(self) -> None:
        """Look at the clock.

        Raises:
            QueueTimeoutError: where nothing was heard for too long.
        """
        if time.monotonic() - self.heard > self.seconds:
            raise QueueTimeoutError(self.seconds)


class PlainRemote(RemoteBackend):
    """nnsight's client, with its two reads of bytes replaced, which gives a request up that hears
    nothing for ``most_seconds``; None waits for ever, as nnsight does.
    """

    def __init__(self, *args: Any, most_seconds: float | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        if most_seconds is not None:
            self.display = Patience(most_seconds)

    @staticmethod
    def parse(message: str | bytes) -> ResponseModel:
        """Read a status update: JSON, or, with the result in it, what ``torch.save`` wrote."""
        if isinstance(message, bytes | bytearray):
            return ResponseModel(**plain(bytes(message)))
        return ResponseModel.model_validate_json(message)

    def finalize(self, content: bytes) -> Any:
        """Return the values a session saved."""
        return plain(zstandard.ZstdDecompressor().decompress(content) if self.compress else content)
