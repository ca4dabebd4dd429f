"""Patch a donor's states into a model's runs and read what it then answers: :func:`sweep` layer by
layer, :func:`patch_map` over named axes.

For every cell the donor's states replace the run's own at the cell's sites and tokens, everything
after them is computed anew, and the readout is taken after the prompt's last token. Effect =
patched reading - unpatched reading; its sign is the readout's. Controls are read with it
(:mod:`workbench.api.conditions`).

A patch shows what a state suffices for where it is put, not that the model reads it from there; the
reverse patch, prompt and donor exchanged, asks what the other run needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.api.asked_prompts import AskedQuestions, tokens_of
from workbench.api.conditions import read_conditions
from workbench.api.confidence_sweep import at_positions, sweep_confidence
from workbench.api.control_names import Controls
from workbench.api.donor_match import cuts_alike, donor_readout, require_sites
from workbench.api.donors import ModelPrompts, RecordedDonor, open_donor
from workbench.api.grid import Grid, default_component, make_grid
from workbench.api.patch_job import PatchJob
from workbench.api.positions import ALL, LAST, At, find_places
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.api.readouts import Read, readout_of
from workbench.api.results import PatchMap, Sweep
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.backends import engine
from workbench.trace.checks import site_width
from workbench.trace.subspace import Subspace, subspaces_by_layer

_QUOTED = 48


def sweep(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    read: Read = None,
    at: At = LAST,
    layers: Any = "all",
    component: Any = "resid_post",
    window: int = 1,
    controls: Controls = True,
    backend: str = "packed",
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    seed: int = 0,
    subspace: Any = None,
) -> Sweep:
    """Patch every layer in turn at the places of ``at``, all of them together.

    Args:
        prompts: a text, chat turns or token ids, or a list of these; or asked questions, which a
            tuned model as donor sweeps with the loop's own conditions.
        donor: prompts of these kinds, another model of the same shape or what it recorded
            (:mod:`workbench.api.recorded_donor`), a Path to an adapter, an Ablation, Noise or a
            Vector (:mod:`workbench.api.donors`).
        read: two strings, one, an elicitation format or a function of logits
            (:mod:`workbench.api.readouts`).
        at: "last", an index, a text, a list of these, or named spans
            (:mod:`workbench.api.positions`).
        layers: "all", or layer numbers.
        component: resid_pre, resid_mid, resid_post, attn_out, mlp_in, mlp_out, heads, queries,
            keys, values or neurons, or several of them, patched together.
        window: how many neighbouring layers are patched together.
        controls: read the controls too: all, none, or those that are named
            (:data:`workbench.api.control_names.CONTROLS`).
        backend: a name of :data:`workbench.trace.backends.ENGINES`.
        tokens_per_forward: memory bound, tokens of one forward.
        seed: of the controls.
        subspace: what alone of the states changes, such as a probe's direction: a mapping from
            layers to bases [width, r], or one for each of the layers in ascending order, [layers,
            width, r] or [layers, width]. With ``Ablation("zero")`` as donor that part is taken out.

    Raises:
        WorkbenchError: before any forward, for arguments that do not fit, with the tokens shown
            where it is about them.
    """
    if isinstance(prompts, AskedQuestions) and isinstance(donor, LanguageModel | Path):
        _require_confidence_sweep(read, at, component, window, backend, subspace)
        return sweep_confidence(
            lm,
            prompts,
            donor,
            layers=layers,
            controls=bool(controls),
            tokens_per_forward=tokens_per_forward,
            seed=seed,
        )
    found = patch_map(
        lm,
        prompts,
        donor,
        read=read,
        over=("layer",),
        at=at,
        layers=layers,
        component=component,
        window=window,
        controls=controls,
        backend=backend,
        tokens_per_forward=tokens_per_forward,
        seed=seed,
        subspace=subspace,
    )
    return Sweep(found.read, found.what, found.conditions)


def patch_map(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    read: Read = None,
    over: Sequence[str] = ("layer", "position"),
    at: At = None,
    layers: Any = "all",
    component: Any = None,
    window: int = 1,
    neuron_window: int = 1,
    controls: Controls = True,
    backend: str = "packed",
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
    seed: int = 0,
    subspace: Any = None,
) -> PatchMap:
    """Patch every cell of the axes in ``over``; the other arguments are those of :func:`sweep`.

    Args:
        over: some of "layer", "position", "component", "head" and "neuron", in the order of the
            result's axes. What is no axis is patched together.
        at: every token of the prompts if positions are an axis, else "last", if not given. In
            asked questions also a named position, such as "answer_end" or "thought_end"
            (:data:`workbench.api.confidence_sweep.NAMED`).
        component: heads if they are an axis (queries, keys or values where named), neurons if
            they are; resid_pre, attn_out and mlp_out if components are; else resid_post, if not
            given.
        neuron_window: how many neighbouring neurons are one cell of an axis of neurons.

    Raises:
        WorkbenchError: as :func:`sweep`.
    """
    names = (over,) if isinstance(over, str) else tuple(over)
    if at is None:
        at = ALL if "position" in names else LAST
    if component is None:
        component = default_component(names)
    asked = prompts if isinstance(prompts, AskedQuestions) else None
    if asked is not None:
        at = at_positions(at, asked, donor)
    if isinstance(donor, AskedQuestions):
        donor = list(tokens_of(lm, donor).rows)
    named = asked.format if asked is not None and read is None else read
    if named is None:
        raise WorkbenchError(
            "Say what is read: two strings such as read=(' Paris', ' Rome'), one string, an "
            "elicitation format, or a function of logits."
        )
    engine(backend)
    tokens = encode_prompts(lm, prompts) if asked is None else tokens_of(lm, asked)
    readout = readout_of(lm, named, tokens)
    with open_donor(lm, donor, tokens) as source:
        run = source if isinstance(source, ModelPrompts | RecordedDonor) else None
        theirs = None if run is None else run.prompts
        places = find_places(at, tokens, theirs, cut_alike=theirs is None or cuts_alike(lm, theirs))
        grid = make_grid(
            lm,
            names,
            layers=layers,
            window=window,
            component=component,
            neuron_window=neuron_window,
            places=places.labels,
        )
        spans = None if subspace is None else _subspaces(lm, grid, subspace)
        other = readout
        if run is not None:
            require_sites(lm, grid, run)
            other = donor_readout(lm, named, readout, run)
        conditions = read_conditions(
            PatchJob(
                lm,
                tokens,
                source,
                places,
                grid,
                readout,
                other,
                backend,
                tokens_per_forward,
                seed,
                spans,
            ),
            controls,
        )
    parts = component if isinstance(component, str) else ", ".join(component)
    title = _title(parts, tokens, donor, theirs)
    if spans is not None:
        title += f", within a subspace of rank {max(span.rank for span in spans.values())}"
    return PatchMap(readout.label, title, conditions)


def _subspaces(lm: LanguageModel, grid: Grid, subspace: Any) -> dict[int, Subspace]:
    """Return the subspace of each patched layer.

    Raises:
        WorkbenchError: for subspaces of other layers, or of another width than the states.
    """
    spans = subspaces_by_layer(subspace, sorted({site.layer for site in grid.sites}))
    for site in grid.sites:
        span, width = spans[site.layer], site_width(lm, site)
        if span.width != width:
            raise WorkbenchError(
                f"The subspace of layer {site.layer} has a basis of width {span.width}, and states "
                f"of {site.component} are {width} wide; give bases [{width}, r]."
            )
    return spans


def _require_confidence_sweep(
    read: Read, at: At, component: Any, window: int, backend: str, subspace: Any
) -> None:
    """Refuse arguments that a sweep of asked questions does not take.

    Raises:
        WorkbenchError: for any but the defaults.
    """
    if read is not None or (at, component, window, backend) != (LAST, "resid_post", 1, "packed"):
        raise WorkbenchError(
            "Asked questions with a tuned model as donor are swept at the confidence position, in "
            "the residual stream, and read as expected confidence; leave read, at, component, "
            "window and backend out, or patch them with patch_map."
        )
    if subspace is not None:
        raise WorkbenchError(
            "The controls of a sweep of asked questions swap whole states; leave subspace out, or "
            "swap within it by patch_map(..., over='layer', at='last')."
        )


def _title(parts: str, prompts: PromptTokens, donor: Any, theirs: PromptTokens | None) -> str:
    into = _quote(prompts)
    if theirs is None:
        return f"{parts} of {into} replaced by {type(donor).__name__}"
    if isinstance(donor, LanguageModel):
        return f"{parts} of {donor.name} patched into {into}"
    where = f" in {donor.name}" if isinstance(donor, RecordedDonor) else ""
    return f"{parts} of {_quote(theirs)}{where} patched into {into}"


def _quote(prompts: PromptTokens) -> str:
    text = " ".join(prompts.text(0).split())
    short = text if len(text) <= _QUOTED else f"…{text[-_QUOTED:]}"
    more = f" (and {len(prompts) - 1} more)" if len(prompts) > 1 else ""
    return f"“{short}”{more}"
