"""Use private parts of the libraries below, each in one place.

transformers, PEFT, accelerate, TRL, torch and nnsight give the parts used here names with a leading
underscore, so a new version may move them without notice. No other module of the package uses a
private name of theirs, and ``tests/test_compat.py`` fails with the name of the one that moved.
Nothing of the package is imported here: the module is on the lowest floor.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ONE_THREAD = "HF_DEACTIVATE_ASYNC_LOAD"


def process_count(model: Any) -> int:
    """Count the processes over which transformers split ``model``; 1 for a whole one."""
    return int(getattr(model, "_tp_size", None) or 1)


def process_group(model: Any) -> Any:
    """Return the torch process group over which transformers split ``model``."""
    mesh = model._device_mesh
    return (mesh["tp"] if "tp" in (mesh.mesh_dim_names or ()) else mesh).get_group()


def split_plan(model: Any, path: str) -> str | None:
    """Return how transformers splits the weights of the module at ``path``; None for whole ones."""
    plan = getattr(model, "_tp_plan", None) or {}
    return plan.get(".".join("*" if part.isdigit() else part for part in path.split(".")))


@contextmanager
def hidden_mesh(model: Any) -> Iterator[None]:
    """Let PEFT give adapters of a split ``model`` the sizes of whole matrices inside the block."""
    from peft.tuners import tuners_utils

    mesh = getattr(model, "_device_mesh", None)
    if mesh is None:
        yield
        return
    shares = tuners_utils._torch_supports_distributed
    model._device_mesh, tuners_utils._torch_supports_distributed = None, False
    try:
        yield
    finally:
        model._device_mesh, tuners_utils._torch_supports_distributed = mesh, shares


@contextmanager
def alone_in_training(model: Any) -> Iterator[None]:
    """Let the Trainer take a ``model`` that is split over processes for a whole one inside the
    block, and this process for the only one: each makes the same steps with the whole adapter.
    """
    if process_count(model) == 1:
        yield
        return
    split = {"_tp_size": None, "_is_distributed_loading_by_transformers": False}
    kept = {name: getattr(model, name, None) for name in split}
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    told = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(model.get_input_embeddings().weight.device)
    for name, value in split.items():
        setattr(model, name, value)
    try:
        with hidden_mesh(model):
            yield
    finally:
        for name, value in kept.items():
            setattr(model, name, value)
        del os.environ["ACCELERATE_TORCH_DEVICE"]
        os.environ.update(told)


def make_whole(model: Any) -> None:
    """Undo FSDP2's sharding of a torch ``model`` in all processes at once; each holds it whole."""
    import torch
    from torch.distributed import _composable_state
    from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
            state = module._get_fsdp_state()
            state._pre_forward_hook_handle.remove()
            state._post_forward_hook_handle.remove()
            for part in (part for group in state._fsdp_param_groups for part in group.fsdp_params):
                part._post_load_hook_handle.remove()
        for name, weight in module._parameters.items():
            if isinstance(weight, DTensor):
                module._parameters[name] = torch.nn.Parameter(
                    weight.full_tensor().detach(), requires_grad=weight.requires_grad
                )
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__mro__[FSDPModule._orig_cls_mro_index]
            del _composable_state._module_state_mapping[module]  # type: ignore[arg-type]
            for mark in (STATE_KEY, REGISTRY_KEY):
                module.__dict__.pop(mark, None)
    getattr(model, "tie_weights", lambda: None)()


def uncut_classes(model: Any) -> list[str]:
    """Name the classes of ``model``'s modules that lie on one device each."""
    return sorted(getattr(model, "_no_split_modules", None) or ())


def local_part(tensor: Any) -> Any:
    """Return what this process holds of a tensor that is split over several, or the tensor."""
    return getattr(tensor, "_local_tensor", tensor)


def attention_kernel(model: Any) -> str:
    """Name the attention kernel that the transformers ``model`` runs."""
    return str(getattr(model.config, "_attn_implementation", None) or "eager")


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


def release_memory() -> None:
    """Give the memory that was freed inside the process's heap back to the system, where the C
    library can. It would keep it for later, in pieces that fit no later weight.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return
    trim(0)


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
        release_memory()
        return self.part[index]


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
