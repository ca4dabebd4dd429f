"""Patch a finished run's held-out questions: the work of three stages, the maps, the attribution
and the claim's conditions.

Donors are of two kinds. *Another question*, in the same model: each question gets the states of the
one half of all ranks away in stated confidence. So as many donors state more as state less, a patch
that moves only the general level cancels, and what remains is specific to the item. *The tuned
model*, on the same question: what training added. Where the adapter acts on the confidence reply
alone, base and tuned runs differ nowhere else, so those maps cover the reply.

Every map has a noise floor, the same places patched with the run's own states, and a control, one
random other token of each conversation with the donor's states: after the answer, and of the reply
for what training added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from workbench.elicit.segments import AFTER_ANSWER, CONFIDENCE, Segment
from workbench.experiments.patching_maps.cached_confidence_claim import CONTROL, conditions
from workbench.experiments.patching_maps.items import PatchingItems, patching_items
from workbench.experiments.patching_maps.maps import (
    DonorPairs,
    PatchingMap,
    moves,
    patched_readouts,
    patching_map,
    random_token,
    readouts,
    spaced_layers,
)
from workbench.loop.run import Run
from workbench.patch import head_sites, layer_sites
from workbench.patch.attribution import attribute
from workbench.patch.components import ComponentSet
from workbench.patch.effect_map import Axis, EffectMap
from workbench.patch.inputs import ModelInputs
from workbench.patch.metrics import expected_confidence_of
from workbench.patch.segments import Floats, align, pair_half_ranks_apart
from workbench.patch.verification import Check
from workbench.pipeline.store import StageStore
from workbench.trace.sites import Component, Site

COMPONENTS: tuple[Component, ...] = ("attn_out", "mlp_out")
ACROSS, ACROSS_TUNED, TAUGHT, GATHERING = "before", "after", "taught", "gathering"
POSITIONS, HEADS, BY_COMPONENT = "positions", "heads", "components"
STILL = ((AFTER_ANSWER, "all"), (CONFIDENCE, "all"))
"""The claim's conditions whose own states give its noise floor."""
VERIFIED_CELLS = 6


class MapPlan(NamedTuple):
    """The plan of one map: its kind and pairing, and what is patched from whose states."""

    kind: str
    key: str
    pairing: DonorPairs
    sites: Sequence[Site]
    parts: Sequence[Segment]
    axes: tuple[Axis, ...]
    control_token: Segment

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.kind}_{self.key}"


def read_maps(context: Run, stage: StageStore, *, n_questions: int, layers: int) -> dict[str, Any]:
    """Make every map and save it; ``maps`` among the facts names kind, pairing and axes of each."""
    made: list[dict[str, Any]] = []
    with context.with_adapter("teach") as tuned:
        held = patching_items(context, tuned, n_questions)
        before = readouts(stage, held.before, held.reading, held.batches, "confidence before")
        after = readouts(stage, held.after, held.reading, held.batches, "confidence after")
        stage.save_tensors("readouts", {"before": before, "after": after})
        for plan in plan_maps(context, held, before, after, layers):
            found = patching_map(
                stage,
                plan.pairing,
                plan.sites,
                plan.parts,
                plan.axes,
                f"{plan.kind} {plan.key}",
                plan.control_token,
            )
            _save_map(stage, plan.name, found)
            axes = [[axis.name, list(axis.labels)] for axis in found.effects.axes]
            made.append({"kind": plan.kind, "key": plan.key, "file": plan.name, "axes": axes})
    return {"maps": made, "precision": context.lm.precision}


def plan_maps(
    context: Run, held: PatchingItems, before: Floats, after: Floats, layers: int
) -> Iterator[MapPlan]:
    """Yield every map: layer by part for three pairings, heads and components for four."""
    lm = held.before.lm
    everyone = np.arange(len(before))
    across, across_tuned = (
        DonorPairs(
            inputs, inputs, pair_half_ranks_apart(stated), stated, held.batches, held.reading
        )
        for inputs, stated in ((held.before, before), (held.after, after))
    )
    taught = DonorPairs(held.before, held.after, everyone, after, held.batches, held.reading)
    chosen, few = (spaced_layers(lm.n_layers, count) for count in (layers, max(2, layers // 2)))
    all_parts, on_reply = list(held.parts), context.reply is not None
    control_token = random_token(held.after_answer_parts, CONTROL, context.config.seed)
    in_reply = [part for part in held.reply if part.name != CONFIDENCE]
    control_taught = (
        random_token(in_reply, CONTROL, context.config.seed)
        if on_reply and in_reply
        else control_token
    )
    for key, pairing, parts, at in (
        (ACROSS, across, all_parts, chosen),
        (ACROSS_TUNED, across_tuned, all_parts, few),
        (TAUGHT, taught, held.reply if on_reply else all_parts, list(range(lm.n_layers))),
    ):
        axes = (Axis("layer", tuple(at)), Axis("part", tuple(part.name for part in parts)))
        control = control_taught if key == TAUGHT else control_token
        yield MapPlan(POSITIONS, key, pairing, layer_sites(at), parts, axes, control)
    of_heads = head_sites(chosen, range(lm.n_heads))
    of_components = [site for name in COMPONENTS for site in layer_sites(chosen, name)]
    layer, head = Axis("layer", tuple(chosen)), Axis("head", tuple(range(lm.n_heads)))
    component = Axis("component", COMPONENTS)
    number, after_answer = held.part(CONFIDENCE), held.part(AFTER_ANSWER)
    for key, pairing, part in (
        (ACROSS, across, number),
        (ACROSS_TUNED, across_tuned, number),
        (TAUGHT, taught, number),
        (GATHERING, across, after_answer),
    ):
        here = Axis("part", (part.name,))
        control = control_taught if key == TAUGHT else control_token
        yield MapPlan(HEADS, key, pairing, of_heads, [part], (layer, head, here), control)
        yield MapPlan(
            BY_COMPONENT, key, pairing, of_components, [part], (component, layer, here), control
        )


def read_attribution(
    context: Run, stage: StageStore, *, maps: str, n_questions: int, layers: int
) -> dict[str, Any]:
    """Estimate every cell by attribution and patch some of them truly: a file of scores and effects
    for each component and kind of cell.

    Args:
        maps: the stage that made the maps, whose pairing is used.
    """
    before = context.stage(maps).tensors("readouts")["before"]
    partner = pair_half_ranks_apart(before)
    config, cells = context.config, []
    with context.with_adapter("teach") as tuned:
        held = patching_items(context, tuned, n_questions)
        everyone = np.arange(len(before))
        named = [part for part in held.parts if part.name in (AFTER_ANSWER, CONFIDENCE)]
        pairs = [align(part, everyone, partner) for part in named]
        here, there = (torch.cat([pair[side] for pair in pairs], dim=1) for side in (0, 1))
        prompts = held.before.prompts
        found = attribute(
            ModelInputs(tuned, prompts, here, held.before.within),
            ModelInputs(tuned, [prompts[p] for p in partner], there, held.before.within),
            ComponentSet(tuple(spaced_layers(tuned.n_layers, layers)), ("resid_post", *COMPONENTS)),
            expected_confidence_of(context.scale_tokens.trie, context.fmt.scale.certain),
            tokens_per_forward=config.model.tokens_per_forward // 2,
            check=Check(cells=VERIFIED_CELLS, seed=config.seed, resamples=1),
        )
    for each in found.verification.agreements:
        name = f"{each.component}_{each.kind}"
        stage.save_tensors(name, {"scores": each.scores, "effects": each.effects})
        cells += [
            {
                "file": name,
                "component": each.component,
                "kind": each.kind,
                "layer": site.layer,
                "position": position,
            }
            for site, position in zip(each.sites, each.positions, strict=True)
        ]
    stage.save_table("cells", pd.DataFrame(cells))
    return {}


def read_claim(context: Run, stage: StageStore, *, claim_questions: int) -> dict[str, Any]:
    """Patch the claim's conditions: distances and moves of every question, and those under its own
    states.
    """
    with context.with_adapter("teach") as tuned:
        held = patching_items(context, tuned, claim_questions)
        base = readouts(stage, held.before, held.reading, held.batches, "confidence of the claim")
        partner = pair_half_ranks_apart(base)
        pairing = DonorPairs(held.before, held.before, partner, base, held.batches, held.reading)
        control = random_token(held.after_answer_parts, CONTROL, context.config.seed)
        cells = conditions(held.parts, control, tuned.n_layers)
        unpatched, patched = patched_readouts(stage, pairing, list(cells.values()), "the claim")
        own_base, own = patched_readouts(
            stage, pairing.own, [cells[condition] for condition in STILL], "the claim's noise"
        )
    distance, moved = moves(unpatched, base[partner], patched)
    stage.save_tensors(
        "moves", {"distance": distance, "moved": moved, "own": own - own_base[:, None]}
    )
    return {"conditions": [list(condition) for condition in cells]}


def load_maps(stage: StageStore, kind: str) -> dict[str, PatchingMap]:
    """Read the maps of one kind that :func:`read_maps` saved, by pairing."""
    found = {}
    for made in stage.facts()["maps"]:
        if made["kind"] == kind:
            held = stage.tensors(made["file"])
            axes = tuple(Axis(axis, tuple(labels)) for axis, labels in made["axes"])
            effects = EffectMap(axes, held["base"], held["donor"], held["patched"])
            found[made["key"]] = PatchingMap(effects, held["own"], held["control_token"])
    return found


def _save_map(stage: StageStore, name: str, found: PatchingMap) -> None:
    effects = found.effects
    stage.save_tensors(
        name,
        {
            "base": effects.base,
            "donor": effects.donor,
            "patched": effects.patched,
            "own": found.own,
            "control_token": found.control_token,
        },
    )
