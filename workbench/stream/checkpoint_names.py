"""Say which stored tensors of a checkpoint make which parameters of a model.

transformers gives the parameters of many families other names than their checkpoints have, and
joins some tensors (the experts of a mixture become one). Its own tables of names and joins are
applied here, to one parameter at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    dot_natural_key,
    rename_source_key,
)

from workbench.errors import WorkbenchError
from workbench.stream.stored_tensors import StoredTensor

Read = Callable[[StoredTensor], Tensor]


@dataclass(frozen=True, eq=False)
class ParameterSource:
    """The stored tensors of which one or more parameters are made.

    Attributes:
        name: of the parameter; of the first of them where a join makes several.
        parts: pattern of the names in the checkpoint and the stored tensor, in order.
        join: transformers' converter; None where the one part is the parameter.
    """

    name: str
    parts: tuple[tuple[str, StoredTensor], ...]
    join: Any = None

    @property
    def nbytes(self) -> int:
        """Bytes that are read from the files."""
        return sum(part.nbytes for _, part in self.parts)

    def names(self, model: Any) -> list[str]:
        """Return the names of the parameters that are made."""
        return list(self.parameters(model, placeholder))

    def parameters(self, model: Any, read: Read) -> dict[str, Tensor]:
        """Return the parameters by name, made of what ``read`` returns for the stored tensors."""
        if self.join is None:
            return {self.name: read(self.parts[0][1])}
        join = deepcopy(self.join)
        for pattern, part in self.parts:
            join.add_tensor(self.name, pattern, pattern, read(part))
        made = join.convert(self.name, model=model, config=model.config)
        return {
            name: value[0] if isinstance(value, list) else value for name, value in made.items()
        }


def placeholder(part: StoredTensor) -> Tensor:
    """Return a tensor like a stored one that holds no numbers."""
    return torch.empty(part.shape, dtype=part.dtype, device="meta")


def parameter_sources(
    model: Any, stored: Mapping[str, StoredTensor], name: str
) -> list[ParameterSource]:
    """Return the sources of all parameters and stored buffers of ``model``, a transformers model
    whose parameters may be on the meta device, called ``name`` in errors.

    Raises:
        WorkbenchError: where the checkpoint lacks weights of the model, or has some of another
            shape.
    """
    wanted = model.state_dict()
    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    joins = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: join for join in joins for pattern in join.source_patterns}
    parts: dict[str, list[tuple[str, StoredTensor]]] = {}
    made_by: dict[str, Any] = {}
    for key in sorted(stored, key=dot_natural_key):
        target, pattern = rename_source_key(key, renamings, joins, model.base_model_prefix, wanted)
        if target not in wanted and key in wanted:
            target, pattern = key, None
        if target in wanted:
            parts.setdefault(target, []).append((pattern or key, stored[key]))
            if pattern is not None:
                made_by[target] = by_pattern[pattern]
    found = [ParameterSource(key, tuple(own), made_by.get(key)) for key, own in parts.items()]
    _require_all(model, found, wanted, name)
    return found


def _require_all(
    model: Any, found: Sequence[ParameterSource], wanted: Mapping[str, Tensor], name: str
) -> None:
    """Refuse a checkpoint that lacks weights. What a join makes is found out on the meta device.

    Raises:
        WorkbenchError: naming the first weights that are missing or of another shape.
    """
    have: dict[str, Tensor] = {}
    for source in found:
        have |= source.parameters(model, placeholder)
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    missing = [key for key in wanted if key not in have and tied.get(key) not in have]
    strange = [key for key in wanted if key in have and have[key].shape != wanted[key].shape]
    if missing or strange:
        raise WorkbenchError(
            f"the checkpoint of {name!r} lacks weights that its configuration asks for, or has "
            f"them in another shape ({', '.join((missing + strange)[:3])}): take both from the "
            "same model"
        )
