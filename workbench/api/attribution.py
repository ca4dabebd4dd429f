"""Estimate which parts move a readout from gradients, for the same prompts, donor, places and
readout as a patch.

:func:`attribute`: (donor state - own state) . gradient of the readout, the first-order estimate
of what patching that cell would add, for all cells from one backward; a few cells are patched
truly and say how far to trust it (:mod:`workbench.patch.attribution`).

Positive: the readout rises. An estimate from gradients has the wrong size where the effect bends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.api.donor_match import cuts_alike, same_vocabulary
from workbench.api.donors import ModelPrompts, open_donor
from workbench.api.grid import PARTS, chosen_layers, chosen_parts, neuron_windows
from workbench.api.positions import ALL, At, find_places
from workbench.api.prompt_runs import run_as_named
from workbench.api.prompts import Prompts, encode_prompts
from workbench.api.readouts import Read, Readout, readout_of
from workbench.api.results import PatchMap, Readings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.slices import slices_of
from workbench.patch import attribution as gradients
from workbench.patch.components import ComponentSet
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import ModelInputs
from workbench.patch.verification import Check, Verification, verify
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.sites import Component


@dataclass(frozen=True, eq=False)
class AttributionMap(PatchMap):
    """The estimated effects of every cell, and what true patches of some cells say about them."""

    verification: Verification

    def caption(self) -> str:
        """Return the map's caption with the slope of true effects on estimates, and their rank
        correlation, for the largest cells.
        """
        found = self.verification.agreements[0]
        return (
            f"{super().caption()} · gradient estimate; true effect / estimate of the largest cells "
            f"{found.slope.value:.2f}, Spearman {found.rho.value:.2f}"
        )


def attribute(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    read: Read,
    at: At = ALL,
    layers: Any = "all",
    component: Any = "resid_post",
    neuron_window: int = 1,
    steps: int = 0,
    check: Check | None = None,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> AttributionMap:
    """Estimate the effect of every layer and place of one component, each head or neuron by itself,
    from one backward.

    Args:
        neuron_window: how many neighbouring neurons are one cell, where neurons are attributed to.
        steps: points of integrated gradients; 0 for one gradient.
        check: how many cells are patched truly, 8 largest and 8 random ones if not given.

    Raises:
        WorkbenchError: as :func:`workbench.api.patching.sweep`, and for a donor that is no run.
    """
    (part,) = chosen_parts(component, ()) if isinstance(component, str) else (None,)
    if part is None:
        raise WorkbenchError(f"Attribute to one component at a time, not to {component!r}.")
    name: Component = PARTS[part]
    check = check or Check()
    cut = ComponentSet(tuple(chosen_layers(lm, layers)), (name,), neuron_window)
    slices = _slice_axis(lm, part, neuron_window)
    tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    with open_donor(lm, donor, tokens) as source:
        theirs = require_run(lm, source)
        places = find_places(at, tokens, theirs.prompts, cut_alike=cuts_alike(lm, theirs.prompts))
        base = ModelInputs(lm, tokens.rows, places.base, lambda: run_as_named(lm))
        other = run_inputs(theirs, places.donor)
        scores = _scores(base, other, cut, readout, tokens_per_forward, steps)
        verification = verify(
            base,
            other,
            cut,
            readout.metric(),
            scores.of,
            check,
            tokens_per_forward=tokens_per_forward,
        )
    axes = (Axis("layer", cut.layers), *slices, Axis("position", places.labels))
    plain = scores.base.double().numpy()
    moved = scores.of[name].double().numpy()
    reading = Readings(
        "estimate",
        "effect",
        axes,
        plain,
        scores.donor.double().numpy(),
        plain.reshape(-1, *[1] * len(axes)) + moved,
    )
    return AttributionMap(
        readout.label, f"attribution of the readout to {part}", (reading,), verification
    )


def require_run(lm: LanguageModel, source: Any) -> ModelPrompts:
    """Return a donor that is a run, and can be read as ``lm`` is.

    Raises:
        WorkbenchError: for an ablation, noise, a vector or a recorded run, and for a model with
            another vocabulary.
    """
    if not isinstance(source, ModelPrompts):
        raise WorkbenchError(
            "An attribution compares two runs; give other prompts, another model or an adapter as "
            "donor, not an ablation or what was recorded."
        )
    if not same_vocabulary(lm.tokenizer, source.lm.tokenizer):
        raise WorkbenchError(
            "An attribution reads both runs by the same token ids, and the donor model has another "
            "vocabulary; patch it with patch_map, which reads each model by its own."
        )
    return source


def _slice_axis(lm: LanguageModel, part: str, neuron_window: int) -> tuple[Axis, ...]:
    slices = slices_of(lm, PARTS[part])
    if slices is None:
        return ()
    if part == "neurons":
        return (Axis("neuron", neuron_windows(slices.count, neuron_window)[0]),)
    return (Axis("head", tuple(range(slices.count))),)


def run_inputs(source: ModelPrompts, places: Tensor) -> ModelInputs:
    """Return the run of a donor at ``places`` [rows, n]."""
    return ModelInputs(source.lm, source.prompts.rows, places, lambda: run_as_named(source.lm))


def _scores(
    base: ModelInputs,
    donor: ModelInputs,
    cut: ComponentSet,
    readout: Readout,
    tokens_per_forward: int,
    steps: int,
) -> gradients.Scores:
    """Compute the scores of all prompts; prompts with answers of their own get passes of their
    own.
    """
    parts, order = [], []
    for chosen, metric in readout.groups():
        rows = chosen or list(range(len(base.prompts)))
        parts.append(
            gradients.unverified_scores(
                _rows(base, rows),
                _rows(donor, rows),
                cut,
                metric,
                tokens_per_forward=tokens_per_forward,
                steps=steps,
            )
        )
        order += rows
    back = torch.tensor(order).argsort()
    return gradients.Scores(
        cut,
        torch.cat([part.base for part in parts])[back],
        torch.cat([part.donor for part in parts])[back],
        {name: torch.cat([part.of[name] for part in parts])[back] for name in cut.components},
    )


def _rows(inputs: ModelInputs, rows: Sequence[int]) -> ModelInputs:
    return ModelInputs(
        inputs.lm,
        [inputs.prompts[row] for row in rows],
        inputs.positions[list(rows)],
        inputs.within,
    )
