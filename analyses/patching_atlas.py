# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where is the stated confidence written?
#
# An atlas of activation patching on a finished run: whose states, put where, move the number the
# model states? Layer by part of the conversation, layer by head, component by component, before the
# model was taught and after. The readout is always the expected value of the exact distribution
# over the confidence scale. Then a claim from the literature is put to the test with a rule written
# down beforehand.
#
# Run as a script it writes `figures/<run>/atlas/`; opened as a notebook it draws below the cells.
# Stopped and started again, it goes on where it was. The run is made first if there is none.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_RUN` | name of the run | `default` |
# | `WORKBENCH_MODEL`, `WORKBENCH_QUESTIONS`, `WORKBENCH_LIMIT`, `WORKBENCH_CONFIG` | the run, if it has to be made | as in `confidence_loop.py` |
# | `WORKBENCH_ATLAS_ITEMS` | held-out questions of every map | 16 |
# | `WORKBENCH_ATLAS_CLAIM_ITEMS` | held-out questions of the claim's test | 40 |
# | `WORKBENCH_ATLAS_LAYERS` | layers of the maps, spread evenly | 8 |
# | `WORKBENCH_ATLAS_PRECISION` | matrix products, `float32` or `bfloat16` | `float32` |

# %%
from __future__ import annotations

import sys
from contextlib import ExitStack

import numpy as np
import torch

from workbench import run_loop
from workbench.cli.terminal import bars
from workbench.elicit.segments import AFTER_ANSWER, CONFIDENCE
from workbench.experiments.patching_maps.cached_confidence_claim import (
    CONTROL,
    check_claim,
    conditions,
)
from workbench.experiments.patching_maps.items import patching_items
from workbench.experiments.patching_maps.maps import (
    moves,
    patched_readouts,
    patching_map,
    random_token,
    readouts,
    spaced_layers,
)
from workbench.experiments.patching_maps.page import (
    claim_sections,
    component_section,
    head_section,
    position_section,
    scatter_section,
)
from workbench.loop import is_complete, open_run
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.patch import head_sites, layer_sites
from workbench.patch.attribution import attribute
from workbench.patch.components import ComponentSet
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import DonorPairs
from workbench.patch.segments import align, pair_half_ranks_apart
from workbench.patch.verification import Check
from workbench.pipeline.stages import Stage, begin_stage
from workbench.report import Section, write_report

COMPONENTS = ("attn_out", "mlp_out")
STILL = ((AFTER_ANSWER, "all"), (CONFIDENCE, "all"))


# %%
name = option("RUN", "default")
atlas = {
    key: option(f"ATLAS_{key.upper()}", default)
    for key, default in (
        ("items", "16"),
        ("claim_items", "40"),
        ("layers", "8"),
        ("precision", "float32"),
    )
}
folder, page = root() / "runs" / name, root() / "figures" / name
if not is_complete(folder):
    with bars(console()):
        run_loop(asked_config(), folder, page, asked_reuse())
context = open_run(folder, page, asked_reuse()).in_precision(atlas["precision"])
config = context.config

# %% [markdown]
# ## What is patched
#
# A conversation is cut into named parts: question, answer, the first token after it, the question
# for confidence, the reply's opening, and the confidence position with the further tokens of a
# number. Questions of different length are aligned at the ends of these parts.
#
# Donors are of two kinds. *Another question*, in the same model: each question gets the states of
# the one half of all ranks away in stated confidence, so as many donors state more as state less, a
# patch that moves only the general level cancels, and what remains is that item's own confidence.
# *The tuned model*, on the same question: what teaching added. The adapter here may act on the
# confidence reply alone; then base and tuned runs differ nowhere else.
#
# Beside every map stands its noise floor: the same places patched with the run's own states. Cells
# within it are hatched. And its control: one random other token of each conversation, behind the
# answer (for what teaching added: of the reply), with the donor's states.

# %%
with ExitStack() as stack:
    stack.enter_context(bars(console()))
    tuned = stack.enter_context(context.with_adapter("teach"))
    stack.enter_context(context.store.hold())
    stage = begin_stage(Stage("atlas", None, given=atlas, other_runs=context.keys), context)
    held = patching_items(context, tuned, int(atlas["items"]))
    layers = spaced_layers(tuned.n_layers, int(atlas["layers"]))
    after_answer, number = held.part(AFTER_ANSWER), held.part(CONFIDENCE)
    before = readouts(stage, held.before, held.reading, held.batches, "confidence before")
    after = readouts(stage, held.after, held.reading, held.batches, "confidence after")
    across = DonorPairs(
        held.before, held.before, pair_half_ranks_apart(before), before, held.batches, held.reading
    )
    across_tuned = DonorPairs(
        held.after, held.after, pair_half_ranks_apart(after), after, held.batches, held.reading
    )
    taught = DonorPairs(
        held.before, held.after, np.arange(len(before)), after, held.batches, held.reading
    )

    few = spaced_layers(tuned.n_layers, max(2, int(atlas["layers"]) // 2))
    taught_parts = held.reply if context.reply is not None else list(held.parts)
    elsewhere = random_token(held.after_answer_parts, CONTROL, config.seed)
    in_reply = [part for part in held.reply if part.name != CONFIDENCE]
    elsewhere_taught = (
        random_token(in_reply, CONTROL, config.seed)
        if context.reply is not None and in_reply
        else elsewhere
    )
    positions = {}
    for key, pairing, parts, chosen in (
        ("before", across, list(held.parts), layers),
        ("after", across_tuned, list(held.parts), few),
        ("taught", taught, taught_parts, list(range(tuned.n_layers))),
    ):
        axes = (Axis("layer", tuple(chosen)), Axis("part", tuple(part.name for part in parts)))
        control = elsewhere_taught if key == "taught" else elsewhere
        positions[key] = patching_map(
            stage, pairing, layer_sites(chosen), parts, axes, f"positions {key}", control
        )

    heads, components = {}, {}
    sites = (
        head_sites(layers, range(tuned.n_heads)),
        [s for c in COMPONENTS for s in layer_sites(layers, c)],
    )
    by_head = Axis("layer", tuple(layers)), Axis("head", tuple(range(tuned.n_heads)))
    by_component = Axis("component", COMPONENTS), Axis("layer", tuple(layers))
    for key, pairing, part in (
        ("before", across, number),
        ("after", across_tuned, number),
        ("taught", taught, number),
        ("gathering", across, after_answer),
    ):
        here = Axis("part", (part.name,))
        control = elsewhere_taught if key == "taught" else elsewhere
        heads[key] = patching_map(
            stage, pairing, sites[0], [part], (*by_head, here), f"heads {key}", control
        )
        components[key] = patching_map(
            stage, pairing, sites[1], [part], (*by_component, here), f"components {key}", control
        )

# %%
caption = (
    f"{len(before)} held-out questions, {config.model.shown}, matrix products in "
    f"{atlas['precision']}"
)
statistics = {"resamples": config.bootstrap_resamples, "seed": config.seed}
figures: list[Section] = []

# %% [markdown]
# ## Layer by position
#
# Read it from the bottom left, where everything about a question stands in its own tokens, to the
# top right, where the last layer of the number's own place decides by itself. Bright cells between
# are where the confidence has gone in the meantime.

# %%
figures += [position_section(key, found, caption, **statistics) for key, found in positions.items()]
for section in figures[-3:]:
    show(section.figure)

# %% [markdown]
# ## Layer by head
#
# Single heads at the confidence position, and at the first token after the answer. Heads share the
# work, so their shifts are small.

# %%
figures += [head_section(key, found, caption, **statistics) for key, found in heads.items()]
for section in figures[-4:]:
    show(section.figure)

# %% [markdown]
# ## Attention or MLP

# %%
figures += [
    component_section(key, found, caption, **statistics) for key, found in components.items()
]
for section in figures[-4:]:
    show(section.figure)

# %% [markdown]
# ## How far could gradients have told?
#
# Attribution patching estimates every cell at once, from two forwards and one backward. Its largest
# cells and as many random ones are patched truly; slope and rank correlation say how far the cheap
# map is to be trusted.

# %%
with bars(console()), context.with_adapter("teach") as tuned:
    held = patching_items(context, tuned, int(atlas["items"]))
    everyone = np.arange(len(before))
    named = [part for part in held.parts if part.name in (AFTER_ANSWER, CONFIDENCE)]
    pairs = [align(part, everyone, across.partner) for part in named]
    here, there = (torch.cat([pair[side] for pair in pairs], dim=1) for side in (0, 1))
    attribution = attribute(
        held.before.at(here),
        held.before.of_rows(across.partner).at(there),
        ComponentSet(tuple(layers), ("resid_post", *COMPONENTS)),
        held.reading.metric,
        tokens_per_forward=config.model.tokens_per_forward // 2,
        check=Check(cells=6, seed=config.seed, resamples=config.bootstrap_resamples),
    )
figures.append(scatter_section(attribution.verification, positions["before"].item_floor(), caption))
show(figures[-1].figure)

# %% [markdown]
# ## A claim, and the rule for it
#
# Kumaran et al. (arXiv 2603.17839) find, in models of 7B and more, that confidence is gathered from
# the answer at the first token after it, kept there, and retrieved where the number is written.
# Here states of another question are put into the untaught model at one token, behind all layers of
# a third of the model (early, middle, late) or behind all layers. Controls: a random other token of
# the same turn, the answer itself, both places together.
#
# The rule, fixed before looking: **reproduced** if three intervals all lie above zero: (1) over all
# layers the first token after the answer carries more than the random token; (2) in the middle
# layers it carries more than the answer's own tokens; (3) the confidence position carries more in
# the late third than in the early one. **Contradicted** if one of the three lies below zero, or if
# the first token's own shift over all layers lies below a tenth of the way. **Undecided**
# otherwise. The four intervals (bootstrap over questions) hold together at 95 %.

# %%
with bars(console()), context.with_adapter("teach") as tuned:
    held = patching_items(context, tuned, int(atlas["claim_items"]))
    base = readouts(stage, held.before, held.reading, held.batches, "confidence of the claim")
    pairing = DonorPairs(
        held.before, held.before, pair_half_ranks_apart(base), base, held.batches, held.reading
    )
    cells = conditions(
        held.parts, random_token(held.after_answer_parts, CONTROL, config.seed), tuned.n_layers
    )
    unpatched, patched = patched_readouts(stage, pairing, list(cells.values()), "the claim")
    own_base, own = patched_readouts(
        stage, pairing.own, [cells[condition] for condition in STILL], "the claim's noise"
    )
distance, moved = moves(unpatched, base[pairing.partner], patched)
found = check_claim(list(cells), distance, moved, **statistics)
floor = float(np.abs((own - own_base[:, None]).mean(axis=0)).max() / distance.mean())
figures += claim_sections(
    found,
    floor,
    f"{len(base)} held-out questions, {config.model.shown}, matrix products in "
    f"{atlas['precision']}",
)
for section in figures[-2:]:
    show(section.figure)

# %% [markdown]
# ## In short

# %%
summary = {"claim": found.verdict, "items": len(before), "claim_items": len(base)}
for difference, estimate in found.differences.items():
    summary |= estimate.to_dict(difference.split(":")[0].replace(" ", "_"))
summary |= found.carried.to_dict("first_token_shift")
index = write_report(
    page / "atlas",
    f"Where does {config.model.shown} write its confidence?",
    figures,
    summary,
    {**atlas, "run": name},
    (),
    (),
)
lines = [
    f"{key:24}{value if isinstance(value, str | int) else f'{value:.3f}'}"
    for key, value in summary.items()
]
sys.stdout.write("\n".join([*lines, str(attribution.verification), f"figures: {index}"]) + "\n")
