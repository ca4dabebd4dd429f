"""Use private parts of the libraries below, each in one place.

transformers, PEFT, accelerate, TRL, torch and nnsight give the parts used here names with a leading
underscore, so a new version may move them without notice. No module of the package but this and
:mod:`workbench.compat_processes` uses a private name of theirs, and ``tests/test_compat.py`` fails
with the name of the one that moved.
Nothing of the package is imported here: the module is on the lowest floor.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

TRIM_SECONDS = 1.0
_ONE_THREAD = "HF_DEACTIVATE_ASYNC_LOAD"
_trimmed = [0.0]  # when the heap was last trimmed


def attention_kernel(model: Any) -> str:
    """Name the attention kernel that the transformers ``model`` runs."""
    return str(getattr(model.config, "_attn_implementation", None) or "eager")


def is_named_tuple(value: Any) -> bool:
    """Return whether a value is a named tuple, which Python tells by a name of this kind alone."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def supports_sdpa(model_class: Any) -> bool:
    """Return whether transformers runs models of a class with scaled dot product kernels."""
    return bool(model_class._supports_sdpa)


@contextmanager
def unmapped_files() -> Iterator[None]:
    """Let transformers read weights one by one from their files inside the block, instead of
    mapping whole files into memory, for which it has no option.

    They are read in this thread, because what other threads free it could not use again, and what
    the conversion of a weight freed is given back before the next is read.
    """
    from transformers import modeling_utils

    opened, threads = modeling_utils.safe_open, os.environ.get(_ONE_THREAD)

    def open_unmapped(file: Any, **options: Any) -> Any:
        return _WeightsFile(opened(file, **{**options, "backend": "pread"}))

    modeling_utils.safe_open = open_unmapped
    os.environ[_ONE_THREAD] = "1"
    try:
        yield
    finally:
        modeling_utils.safe_open = opened
        del os.environ[_ONE_THREAD]
        if threads is not None:
            os.environ[_ONE_THREAD] = threads


@contextmanager
def opened_once(path: Path, reader: Any) -> Iterator[None]:
    """Let transformers use the ``reader`` that is open on the GGUF file ``path`` inside the block,
    instead of one of its own for each step. Each goes through the whole vocabulary, which takes
    longer than anything else.
    """
    import gguf

    opened = gguf.GGUFReader

    def open_reader(other: Any, *args: Any, **options: Any) -> Any:
        if Path(other) == path and not args and not options:
            return reader
        return opened(other, *args, **options)

    gguf.GGUFReader = open_reader
    try:
        yield
    finally:
        gguf.GGUFReader = opened


def trim_heap() -> None:
    """Give the memory that was freed inside the process's heap back to the system, where the C
    library can. It would keep it for later, in pieces that fit no later weight.
    """
    trim = _c_function("malloc_trim")
    if trim is not None:
        trim(0)
        _trimmed[0] = monotonic()


def trim_heap_if_due() -> None:
    """Give freed memory back as :func:`trim_heap` does, unless it was within the last second: the
    pages are mapped anew when they are used again.
    """
    if monotonic() - _trimmed[0] >= TRIM_SECONDS:
        trim_heap()


def map_blocks(least_bytes: int) -> None:
    """Have the C library, where it can, take every block of ``least_bytes`` or more from the system
    and give it back when it is freed, and share one heap between all threads.

    It would raise that size by itself as blocks are freed, and reserve 64 MiB of addresses for
    each thread: what a process maps would then say little about what it uses.
    """
    mapped_from, most_heaps = -3, -8  # M_MMAP_THRESHOLD and M_ARENA_MAX of glibc
    tune = _c_function("mallopt")
    if tune is not None:
        tune(mapped_from, least_bytes)
        tune(most_heaps, 1)


def _c_function(name: str) -> Any:
    """Return a function of the C library; None where another library or system lacks it."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None


class _WeightsFile:
    """An open file of weights, whose weights are read by :class:`_Weight`."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def get_slice(self, name: str) -> _Weight:
        return _Weight(self.file.get_slice(name))


class _Weight:
    """A weight in a file; memory is released before it is read."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def __getitem__(self, index: Any) -> Any:
        trim_heap()
        return self.part[index]


def hooks_of(module: Any) -> Iterator[Any]:
    """Yield the hooks that run before and after a torch ``module``."""
    yield from module._forward_pre_hooks.values()
    yield from module._forward_hooks.values()


def forget_adapters(model: Any) -> None:
    """Tell the transformers ``model`` that it carries no adapter of PEFT."""
    model._hf_peft_config_loaded = False


def execution_device(module: Any) -> Any:
    """Return the device to which accelerate moves the weights of ``module`` for each use."""
    return module._hf_hook.execution_device


def is_moved_for_each_use(module: Any) -> bool:
    """Return whether accelerate's hook loads the weights of ``module`` for each of its calls."""
    return hasattr(module, "_hf_hook")


def version_of(tensor: Any) -> int:
    """Return how often ``tensor`` was changed in place, as autograd counts it."""
    return int(tensor._version)


def viewed_tensor(tensor: Any) -> Any:
    """Return the tensor that ``tensor`` is a view of; None where it is none."""
    return tensor._base


def has_bfloat16_units() -> bool:
    """Return whether the processor multiplies bfloat16 matrices itself, as torch reports it."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def remote_environment(model: Any) -> Any:
    """Return what nnsight tells a server about the environment of ``model``."""
    return model._remoteable_get_env()


def sample_turn(trainer: Any, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Sample a reply to each of ``prompts`` as TRL's GRPO ``trainer`` samples them."""
    tokens, _ = trainer._generate_single_turn(prompts, None, {}, trainer.num_generations)
    return tokens


class TrainerHooks:
    """Public methods for three private ones of the transformers Trainer. It must precede the
    Trainer among the bases of a class.
    """

    def train_sampler(self) -> Any:
        """Return the order in which training rows are drawn."""
        raise NotImplementedError

    def save_extra(self, folder: Path) -> None:
        """Save what belongs to a checkpoint in ``folder`` besides the model."""
        raise NotImplementedError

    def load_extra(self, folder: Path) -> None:
        """Load what :meth:`save_extra` saved in ``folder``."""
        raise NotImplementedError

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.train_sampler()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        trainer: Any = super()
        trainer._save(output_dir, state_dict)
        args: Any = vars(self)["args"]
        self.save_extra(Path(output_dir or args.output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trainer: Any = super()
        trainer._load_from_checkpoint(resume_from_checkpoint, model)
        self.load_extra(Path(resume_from_checkpoint))


class TokenPrompts:
    """A public method for the private one with which TRL's trainers tokenise prompts. It must
    precede the trainer among the bases of a class.
    """

    def prompt_tokens(self, prompts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each of ``prompts``."""
        raise NotImplementedError

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return self.prompt_tokens(prompts), None, {}
