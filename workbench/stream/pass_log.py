"""Keep what layers return on disk while passes run, so that a process that was killed goes on after
its last finished layer.

Tasks are plain functions and cannot be saved, but they can be run again: what a layer returned, and
the keys and values it put into a cache, take the layer's place until the record ends. So a task
comes to where it was, with everything it had kept, and no layer below is read.

A record is used only for a call that gets, to the bit, what the recorded one got: states, masks,
positions, what a cache held before, the adapter that is on and on which columns, and the model's
files, dtype, device and attention kernel. Anything else, as other prompts or other states that are
patched in, is computed, and the record from there on is dropped. Records of a group of tasks lie in
a folder named by what their first calls got; it goes when all of them have ended.

Layers with hooks inside them (components that are recorded or patched) are read again, since their
hooks need to run, and so are passes with gradients and layers that keep more than keys and values.

It costs the states of every layer once on disk, at most ``most_bytes``: a few hundredths of what
the weights cost to read for few tokens, and of what multiplying by them costs for many.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from workbench.errors import WorkbenchError
from workbench.files.locks import hold_folder
from workbench.stream.call_records import DIGEST, CallRecords

if TYPE_CHECKING:
    from workbench.stream.tasks import Task

PREFIX = "workbench-pass-"


class PassLog:
    """Where the records of a streamed model's passes lie.

    Args:
        folder: for the records.
        fingerprint: of the model.
        most_bytes: what records may take in all.
    """

    def __init__(self, folder: Path, fingerprint: str, most_bytes: int) -> None:
        self.folder, self.fingerprint, self.most_bytes = folder, fingerprint, most_bytes
        self.bytes_written = 0
        self.calls_replayed = 0

    def open(self, tasks: Sequence[Task]) -> TaskLog | None:
        """Return the records of tasks that wait for their first layers; None where another process
        writes the same ones.
        """
        first = hashlib.blake2b(self.fingerprint.encode(), digest_size=DIGEST)
        for task in sorted(tasks, key=lambda task: task.path):
            first.update(repr((task.path, task.given)).encode())
        folder = self.folder / f"{PREFIX}{first.hexdigest()}"
        folder.mkdir(exist_ok=True)
        held = ExitStack()
        try:
            held.enter_context(hold_folder(folder))
        except WorkbenchError:
            return None
        self._prune(folder)
        return TaskLog(self, folder, held)

    def _prune(self, own: Path) -> None:
        """Remove the oldest records of others where all take more than they may."""
        others = [place for place in self.folder.glob(f"{PREFIX}*") if place != own]
        others.sort(key=lambda place: place.stat().st_mtime)
        taken = {place: _bytes_in(place) for place in others}
        for place in others:
            if sum(taken.values()) + _bytes_in(own) <= self.most_bytes:
                return
            shutil.rmtree(place, ignore_errors=True)
            del taken[place]


class TaskLog:
    """The records of a group of tasks that run together, by task."""

    def __init__(self, log: PassLog, folder: Path, held: ExitStack) -> None:
        self.log, self.folder, self.held = log, folder, held
        self._files: dict[tuple[int, ...], CallRecords] = {}
        self._read: dict[tuple[int, ...], dict[str, Tensor]] = {}
        self._bytes = _bytes_in(folder)
        self._full = False

    def offers(self, task: Task) -> bool:
        """Return whether the result of a task's present call is there."""
        return task.given is not None and self._of(task).offers(task.calls, task.given)

    def has_read(self, task: Task) -> bool:
        """Read the result of a task's present call, for :meth:`take`; return whether it is there
        and sound.
        """
        if not self.offers(task):
            return False
        found = self._of(task).read(task.calls)
        if found is None:
            self._of(task).cut(task.calls)
            return False
        self._read[task.path] = found
        return True

    def take(self, task: Task) -> dict[str, Tensor] | None:
        """Return the tensors of a task's present call by name, where they were read."""
        found = self._read.pop(task.path, None)
        self.log.calls_replayed += found is not None
        return found

    def note(self, task: Task, tensors: Mapping[str, Tensor]) -> None:
        """Write the tensors of a task's present call, and drop what was written of later ones."""
        records = self._of(task)
        records.cut(task.calls)
        needed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if self._full or self._bytes + needed > self.log.most_bytes:
            if not self._full:
                warnings.warn(
                    f"what layers returned fills the {self.log.most_bytes / 1e9:.1f} GB of "
                    "model.resume_bytes; if this process is killed, passes go on from here",
                    stacklevel=2,
                )
            self._full = True
            return
        assert task.given is not None
        on_cpu = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        written = records.append(task.calls, task.given, on_cpu)
        self._bytes += written
        self.log.bytes_written += written

    def close(self, finished: bool) -> None:
        """Let other processes in; remove the records of tasks that have ended."""
        self.held.close()
        if finished:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _of(self, task: Task) -> CallRecords:
        if task.path not in self._files:
            name = ".".join(map(str, task.path))
            self._files[task.path] = CallRecords(self.folder / f"{name}.records")
        return self._files[task.path]


class CallDigests:
    """Digests of what layers get. Tensors that all layers get are read once."""

    def __init__(self) -> None:
        self._known: Any = WeakIdKeyDictionary()
        self._caches: Any = WeakIdKeyDictionary()

    def digest(
        self, layer: int, tensors: Iterable[Tensor], caches: Iterable[Any], more: Any
    ) -> bytes:
        """Return the digest of a call of a layer with ``tensors``, of which the first is new, with
        ``caches``, and with ``more``, what else it depends on.
        """
        found = hashlib.blake2b(repr((layer, more)).encode(), digest_size=DIGEST)
        for number, tensor in enumerate(tensors):
            found.update(_read(tensor) if number == 0 else self._of(tensor))
        for cache in caches:
            found.update(repr(cache.get_seq_length(layer)).encode())
            seen = self._caches.setdefault(cache, set())
            if layer not in seen:
                seen.add(layer)
                for tensor in _tensors_of(cache, layer):
                    found.update(_read(tensor))
        return found.digest()

    def _of(self, tensor: Tensor) -> bytes:
        if tensor not in self._known:
            self._known[tensor] = _read(tensor)
        known: bytes = self._known[tensor]
        return known


def _read(tensor: Tensor) -> bytes:
    own = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    found = hashlib.blake2b(repr((tensor.dtype, tuple(tensor.shape))).encode(), digest_size=DIGEST)
    found.update(own.data)
    return found.digest()


def _tensors_of(cache: Any, layer: int) -> Iterator[Tensor]:
    """Yield the tensors that a cache holds of a layer."""
    layers = getattr(cache, "layers", [])
    held = [vars(layers[layer]).values()] if layer < len(layers) else []
    held += [
        part[layer] for part in vars(cache).values() if isinstance(part, dict) and layer in part
    ]
    for parts in held:
        yield from (part for part in parts if isinstance(part, Tensor))


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.records"))
