"""Read hidden states that vLLM wrote, and keep them as recorded states.

vLLM's hidden-state connector writes one safetensors file a prompt, with ``hidden_states`` [tokens,
layers, width] and ``token_ids`` [tokens]. Each file is compared with the prompt it is taken for,
token by token: a file of another prompt, template or tokenizer is refused. Of the states only those
at the positions asked for are kept, in a shard a block of prompts
(:mod:`workbench.states.writer`), so that what vLLM wrote can be deleted.

vLLM numbers layers by what enters them: its layer k is the residual stream after our layer k - 1,
its layer count is the stream after the last layer, before the final norm, and its layer 0, the
embeddings, is no layer's output. The numbers are in the dtype in which vLLM ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.states.layout import DTYPES, Layout
from workbench.states.recorded import RecordedStates
from workbench.states.writer import StatesWriter

STATES, TOKENS, LOCK = "hidden_states", "token_ids", ".lock"
AGAIN = "record these prompts with vLLM again"
PROMPTS_PER_SHARD = 256


@dataclass(frozen=True, eq=False)
class VllmStates:
    """Recorded states of vLLM's.

    Attributes:
        states: [prompts, layers, positions, width].
        layers: the layer after which each entry of the second axis stands, counted from 0.
    """

    states: RecordedStates
    layers: tuple[int, ...]


def import_vllm_states(
    files: Sequence[Path],
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    vllm_layers: Sequence[int],
    folder: Path,
    *,
    names: Sequence[str] = (),
    source: str = "",
) -> VllmStates:
    """Keep the states of ``prompts`` that vLLM wrote into ``files`` as shards in ``folder``.

    Args:
        files: the file of each prompt, as vLLM's answer names it.
        prompts: token ids that were given to vLLM.
        positions: tokens whose states are kept, 0 at each prompt's first, as many for each.
        vllm_layers: ``eagle_aux_hidden_state_layer_ids`` as vLLM was told, ascending.
        folder: goes on from the shards that are whole in it.
        names: of the positions.
        source: a fingerprint of what was recorded.

    Raises:
        WorkbenchError: for a file that is missing, damaged, of another prompt, or of other layers.
    """
    layers = _layers_of(vllm_layers)
    if not len(files) == len(prompts) == len(positions) or not files:
        raise WorkbenchError(
            f"{len(files)} files, {len(prompts)} prompts and {len(positions)} rows of positions "
            "were given; each prompt needs one of each, and there must be one."
        )
    counts = {len(row) for row in positions}
    if len(counts) != 1:
        raise WorkbenchError("Give positions for every prompt, as many for one as for another.")
    called = tuple(names) or tuple(str(number) for number in range(counts.pop()))
    first = _kept(files[0], prompts[0], positions[0], layers)
    dtype = next(name for name, kind in DTYPES.items() if kind == first.dtype)
    writer = StatesWriter(
        folder, Layout(len(layers), called, first.shape[-1], dtype, source=source)
    )
    for number, start in enumerate(range(0, len(files), PROMPTS_PER_SHARD)):
        rows = np.arange(start, min(start + PROMPTS_PER_SHARD, len(files)))
        shard = f"vllm-{number:05d}"
        if not writer.holds(shard, rows):
            kept = [
                _kept(files[row], prompts[row], positions[row], layers) for row in rows.tolist()
            ]
            writer.write(shard, rows, torch.stack(kept))
    return VllmStates(writer.finish(), layers)


def _layers_of(vllm_layers: Sequence[int]) -> tuple[int, ...]:
    """Return the layers after which states were taken, counted from 0.

    Raises:
        WorkbenchError: for the embeddings, and for numbers that do not ascend.
    """
    numbers = [int(number) for number in vllm_layers]
    if not numbers or numbers[0] < 1 or numbers != sorted(set(numbers)):
        raise WorkbenchError(
            f"vLLM's layers are {numbers}; give them ascending, from 1 (after our layer 0) to the "
            "number of layers (after the last): its layer 0 is the embeddings."
        )
    return tuple(number - 1 for number in numbers)


def _kept(
    path: Path, prompt: Sequence[int], positions: Sequence[int], layers: Sequence[int]
) -> Tensor:
    """Return the states [layers, positions, width] of one file.

    Raises:
        WorkbenchError: as :func:`import_vllm_states`.
    """
    if not all(0 <= position < len(prompt) for position in positions):
        raise WorkbenchError(
            f"The positions {list(positions)} are not all in a prompt of {len(prompt)} tokens; "
            "count from 0 at its first."
        )
    try:
        with _written(path), safe_open(path, framework="pt") as file:
            tokens = file.get_tensor(TOKENS)
            shape = tuple(file.get_slice(STATES).get_shape())
            _check(path, prompt, tokens, shape, len(layers))
            part = file.get_slice(STATES)
            states = torch.stack([part[position : position + 1][0] for position in positions])
    except (OSError, SafetensorError) as error:
        raise WorkbenchError(f"{path} cannot be read ({error}); {AGAIN}.") from error
    if states.dtype not in DTYPES.values():
        raise WorkbenchError(
            f"{path} holds states in {states.dtype}; run vLLM in one of {', '.join(DTYPES)}."
        )
    return states.transpose(0, 1)


def _check(
    path: Path, prompt: Sequence[int], tokens: Tensor, shape: tuple[int, ...], layers: int
) -> None:
    """Refuse a file of another prompt or of other layers.

    Raises:
        WorkbenchError: for such a file.
    """
    if len(shape) != 3 or shape[0] != len(tokens) or shape[1] != layers:
        raise WorkbenchError(
            f"{path} holds states of shape {shape} for {len(tokens)} tokens, and {layers} layers "
            "were asked for; give the layers that vLLM was told to record."
        )
    said = tokens.tolist()[: len(prompt)]
    if said != list(prompt):
        at = next(
            (i for i, (one, other) in enumerate(zip(said, prompt, strict=False)) if one != other),
            len(said),
        )
        raise WorkbenchError(
            f"{path} is not of this prompt: they differ from token {at} on; give the files in the "
            "order of the prompts, and to vLLM the token ids of the workbench."
        )


def _written(path: Path) -> ExitStack:
    """Wait until vLLM has written a file: it holds a lock beside it while it writes."""
    stack, lock = ExitStack(), path.with_name(path.name + LOCK)
    if lock.exists():
        import fcntl  # vLLM runs where there is one

        file = stack.enter_context(lock.open())
        fcntl.flock(file, fcntl.LOCK_SH)
    return stack
