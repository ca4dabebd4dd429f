"""What is taken from an nnsight server: tensors, numbers, text and their containers, and nothing
that could run.

nnsight reads a server's status and its result with ``torch.load``, which unpickles whatever it is
sent, so a server, or whoever stands between, could run code here. This client reads the same bytes
with an unpickler that knows no names but those a tensor and a status are made of; an answer that
names anything else is refused before any of it is made. TorchScript archives, which ``torch.load``
would hand to another loader, are refused too.

What it does not guard against: wrong numbers. And a server runs what it is sent; this is about what
comes back.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from types import SimpleNamespace
from typing import Any

import torch
import zstandard
from nnsight.intervention.backends.remote import RemoteBackend
from nnsight.schema.response import ResponseModel

from workbench.errors import WorkbenchError

NAMES = {
    ("torch._utils", "_rebuild_tensor_v2"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("nnsight.schema.response", "Status"),
}


class PlainUnpickler(pickle.Unpickler):
    """Finds :data:`NAMES` alone; the storages of tensors never come to it."""

    def find_class(self, module: str, name: str) -> Any:
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
    """What ``torch.save`` wrote into ``content``, on the CPU; WorkbenchError unless it is plain
    data.
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


class PlainRemote(RemoteBackend):
    """nnsight's client with its two readings of bytes replaced."""

    @staticmethod
    def parse(message: str | bytes) -> ResponseModel:
        """A status update: JSON, or with the result on it what ``torch.save`` wrote."""
        if isinstance(message, bytes | bytearray):
            return ResponseModel(**plain(bytes(message)))
        return ResponseModel.model_validate_json(message)

    def finalize(self, content: bytes) -> Any:
        """The values a session saved."""
        return plain(zstandard.ZstdDecompressor().decompress(content) if self.compress else content)
