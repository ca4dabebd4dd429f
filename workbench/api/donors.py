"""Define donors: whose state is written into a prompt's run.

Donor prompts give the states of other prompts in the same model. Another model of the same shape,
an adapter's folder or a tuned model give the states of the same prompts there, each model with its
own tokenizer and chat template; :class:`RecordedDonor` gives states that another model left behind
(:func:`workbench.api.recorded_donor.record_donor`), of the same prompts or of others. An ablation
writes nothing of another run: zeros, the mean over all other prompts, the prompt's own state with
Gaussian noise, or one vector for all. A plain model is run with its own weights alone, even if an
adapter has been put into them since, and a model with an adapter is run with it. So both may share
one set of weights.

What a knock-out shows depends on what is written: zeros may lie far outside of what a model ever
computes, the mean keeps what all prompts share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from workbench.api.prompts import PromptTokens, encode_prompts, show_tokens
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.ablation_values import mean_of_others, zeros
from workbench.teach.adapter import load_adapter, remove_adapter
from workbench.trace.sites import Site

Mode = Literal["replace", "add"]
_KINDS = ("zero", "mean")


@dataclass(frozen=True)
class Ablation:
    """A donor of zeros, or of the mean of all other prompts' states at the same place.

    Raises:
        WorkbenchError: for another kind.
    """

    kind: Literal["zero", "mean"]

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise WorkbenchError(f"An ablation is {' or '.join(_KINDS)}, not {self.kind!r}.")


@dataclass(frozen=True)
class Noise:
    """A donor of the prompt's own state plus Gaussian noise of ``scale`` times the standard
    deviation of its entries over all prompts and places.
    """

    scale: float = 3.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Vector:
    """A donor of one ``value`` [width] (head size for heads), which replaces the state or is added
    to it.
    """

    value: Any
    mode: Mode = "replace"


@dataclass(frozen=True, eq=False)
class ModelPrompts:
    """Prompts as one model runs them."""

    lm: LanguageModel
    prompts: PromptTokens


@dataclass(frozen=True, eq=False)
class RecordedDonor:
    """The states of another model's run of its prompts, which needs the model no more.

    Attributes:
        name: of the model.
        prompts: as that model ran them.
        layers: the model's decoder layers.
        width: of its residual stream.
        slices: by component, how many heads or neurons a layer has, and the size of one.
        states: of each site, [rows, longest prompt + nodes, width]; after a prompt's own tokens,
            columns are filled up with its last one, and nodes come after the longest prompt.
        read: what was read, as :attr:`workbench.api.readouts.Readout.label` says it.
        nodes: the texts of the further tokens read after each prompt.
        readings: [rows] of the unpatched prompts.
    """

    name: str
    prompts: PromptTokens
    layers: int
    width: int
    slices: Mapping[str, tuple[int, int]]
    states: Mapping[Site, Tensor]
    read: str
    nodes: tuple[str, ...]
    readings: Tensor

    def at(self, site: Site, tokens: Tensor) -> Tensor:
        """Return the states [rows, n, width] of a site at ``tokens`` [rows, n]; from a prompt's
        length on they name nodes.
        """
        states = self.states[site]
        lengths = torch.tensor(self.prompts.lengths)[:, None]
        nodes = max(self.prompts.lengths) + tokens - lengths
        columns = torch.where(tokens < lengths, tokens, nodes)
        return states.gather(1, columns[:, :, None].expand(-1, -1, states.shape[-1]))

    def repeated(self, rows: int) -> RecordedDonor:
        """Return the run of a single prompt as that of ``rows`` equal ones."""
        states = {site: each.expand(rows, -1, -1) for site, each in self.states.items()}
        prompts, readings = self.prompts.repeated(rows), self.readings.expand(rows)
        return replace(self, prompts=prompts, states=states, readings=readings)


DonorRun = ModelPrompts | RecordedDonor
Donor = DonorRun | Ablation | Noise | Vector


@contextmanager
def open_donor(lm: LanguageModel, donor: Any, prompts: PromptTokens) -> Iterator[Donor]:
    """Yield what ``donor`` names for ``prompts`` in ``lm``. An adapter read from a folder is
    removed again at the end of the block.

    Raises:
        WorkbenchError: for no donor, a model of another shape, the model itself, token ids that
            are other texts in the donor model, and donor prompts that are another number of
            prompts, or the prompts themselves.
    """
    if isinstance(donor, Ablation | Noise | Vector):
        yield donor
    elif isinstance(donor, RecordedDonor):
        _require_shape(lm, donor.layers, donor.width)
        yield _one_each(donor, len(prompts))
    elif isinstance(donor, torch.Tensor | np.ndarray) and donor.dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.float16,
        np.dtype("float32"),
        np.dtype("float64"),
    ):
        yield Vector(donor)
    elif isinstance(donor, LanguageModel):
        _require_shape(lm, donor.n_layers, donor.width)
        if donor.model is lm.model:
            raise WorkbenchError(
                "The donor is the patched model itself, so a patch would change nothing; give "
                "other prompts, another model or an adapter."
            )
        same = donor.tokenizer is lm.tokenizer
        yield ModelPrompts(donor, prompts if same else prompts.encoded_for(donor))
    elif isinstance(donor, Path):
        tuned = load_adapter(lm, donor)
        try:
            yield ModelPrompts(tuned, prompts)
        finally:
            remove_adapter(tuned)
    elif donor is None:
        raise WorkbenchError(
            "A patch needs a donor: other prompts, another model or what it recorded, an adapter's "
            "folder (a Path), an Ablation, Noise or a Vector."
        )
    else:
        yield ModelPrompts(lm, _donor_prompts(lm, donor, prompts))


def written_states(donor: Donor, own: Tensor, theirs: Tensor | None) -> tuple[Tensor, Mode]:
    """Return the states to write [rows, places, width], and whether they replace or are added.

    Args:
        own: the patched run's states there.
        theirs: the donor run's states, where the donor is one.

    Raises:
        WorkbenchError: for a mean over a single prompt, and a vector of another width.
    """
    if theirs is not None:
        return theirs, "replace"
    if isinstance(donor, Ablation):
        if donor.kind == "mean" and len(own) < 2:
            raise WorkbenchError(
                "The mean over other prompts needs at least two prompts; give more, or "
                "Ablation('zero')."
            )
        return (zeros(own) if donor.kind == "zero" else mean_of_others(own)), "replace"
    if isinstance(donor, Noise):
        generator = torch.Generator().manual_seed(donor.seed)
        noise = torch.randn(own.shape, generator=generator).to(own)
        return own + donor.scale * own.float().std().to(own.dtype) * noise, "replace"
    assert isinstance(donor, Vector)
    value = torch.as_tensor(donor.value).to(own)
    if value.shape != own.shape[-1:]:
        raise WorkbenchError(
            f"The vector to write has shape {list(value.shape)}; the component is "
            f"[{own.shape[-1]}] wide."
        )
    return value.expand_as(own).clone(), donor.mode


def _donor_prompts(lm: LanguageModel, donor: Any, prompts: PromptTokens) -> PromptTokens:
    """Encode donor prompts, one for each prompt.

    Raises:
        WorkbenchError: for another number of them, and for the prompts themselves.
    """
    found = encode_prompts(lm, donor)
    if len(found) == 1 and len(prompts) > 1:
        return found.repeated(len(prompts))
    _require_count(len(found), len(prompts))
    if found.rows == prompts.rows:
        raise WorkbenchError(
            f"Donor and prompt are the same tokens ({show_tokens(found.pieces[0])}), so a patch "
            "would change nothing; give another prompt, or another model."
        )
    return found


def _one_each(donor: RecordedDonor, rows: int) -> RecordedDonor:
    """Return the recorded run with a prompt for each of ``rows``.

    Raises:
        WorkbenchError: for another number of them.
    """
    if len(donor.prompts) == 1 and rows > 1:
        return donor.repeated(rows)
    _require_count(len(donor.prompts), rows)
    return donor


def _require_count(donors: int, rows: int) -> None:
    if donors != rows:
        raise WorkbenchError(
            f"There are {donors} donor prompts for {rows} prompts; give one for each, or one for "
            "all."
        )


def _require_shape(lm: LanguageModel, layers: int, width: int) -> None:
    """Refuse a donor model whose states have no place in ``lm``.

    Raises:
        WorkbenchError: for another number of layers or another width.
    """
    if (layers, width) != (lm.n_layers, lm.width):
        raise WorkbenchError(
            f"The donor model has {layers} layers of width {width}, the patched one {lm.n_layers} "
            f"layers of width {lm.width}; states fit only between models of one shape."
        )
