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
# # Can the model be steered into saying what it knows?
#
# The probe of a finished run has a direction in the residual stream along which right answers lie.
# Here that direction is added to the base model's states while it writes its confidence, layer by
# layer and length by length, and so are random directions of the same length. The published finding
# is a null: steering moves how much confidence is stated, not how well it tells right answers from
# wrong ones.
#
# Run as a script it writes `figures/<run>/steering/`; opened as a notebook it draws below the
# cells. The run is made first if there is none.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_RUN` | name of the run | `default` |
# | `WORKBENCH_MODEL`, `WORKBENCH_QUESTIONS`, `WORKBENCH_LIMIT`, `WORKBENCH_CONFIG` | the run, if it has to be made | as in `confidence_loop.py` |
# | `WORKBENCH_STEERING_ITEMS` | held-out questions | 120 |
# | `WORKBENCH_STEERING_LAYERS` | layers, spread evenly | 4 |
# | `WORKBENCH_STEERING_RANDOM` | random directions | 3 |
# | `WORKBENCH_STEERING_LENGTHS` | lengths either way, in standard deviations of a layer's states | `0.5,1,2` |

# %%
from __future__ import annotations

import sys
from dataclasses import asdict

import numpy as np

from workbench import run_loop
from workbench.cli.terminal import bars
from workbench.errors import WorkbenchError
from workbench.experiments.steering import (
    SteeringPlan,
    effects_table,
    steered_confidence,
    steering_effects,
    steering_figure,
    steering_summary,
)
from workbench.files.ownership import claim_folder
from workbench.files.writing import write_atomically
from workbench.loop import is_complete, open_run
from workbench.notebook import asked_config, asked_reuse, console, option, root, show
from workbench.pipeline.stages import Stage, begin_stage
from workbench.report import Section, write_report
from workbench.tables import write_csv

# %%
name = option("RUN", "default")
folder, page = root() / "runs" / name, root() / "figures" / name
if not is_complete(folder):
    with bars(console()):
        run_loop(asked_config(), folder, page, asked_reuse())
context = open_run(folder, page, asked_reuse())
config = context.config
layers = int(option("STEERING_LAYERS", "4"))
away = [float(length) for length in option("STEERING_LENGTHS", "0.5,1,2").split(",")]
if min(away) <= 0 or len(set(away)) < len(away):
    raise WorkbenchError(
        "WORKBENCH_STEERING_LENGTHS holds positive numbers, each once; both signs are tried."
    )
plan = SteeringPlan(
    layers=tuple(
        np.unique(
            np.linspace(0, context.lm.n_layers - 1, layers + 2).round().astype(int)[1:-1]
        ).tolist()
    ),
    lengths=tuple(sorted([-length for length in away] + away)),
    random=int(option("STEERING_RANDOM", "3")),
    items=int(option("STEERING_ITEMS", "120")),
)

# %% [markdown]
# ## What a push does
#
# The push stands at the confidence position and at every further token of the number. Its length is
# measured in standard deviations of the layer's states over training questions, all directions
# together. Above: the level of confidence; below: whether it tells right from wrong, in the
# distribution and in the number that greedy decoding writes.

# %%
with bars(console()), context.store.hold():
    stage = begin_stage(
        Stage("steering", None, given=asdict(plan), other_runs=dict(context.keys)), context
    )
    table = steered_confidence(context, plan, stage)
    stage.save_table("steering", table)
questions = context.stage("questions").table("questions")
# Held-out questions are those whose answer could be graded; the other rows are never looked up.
correct = context.stage("answer").table("answers")["correct"].fillna(False).to_numpy(dtype=bool)
effects = steering_effects(
    table,
    correct,
    questions["domain"].to_numpy(dtype=str),
    resamples=config.bootstrap_resamples,
    seed=config.seed,
)
caption = (
    f"{table['row'].nunique()} held-out questions, {config.model.shown}, matrix products in "
    f"{context.lm.precision}"
)
figure = steering_figure(effects, "Steering along the probe's direction", caption).figure()
show(figure)

# %% [markdown]
# ## In short
#
# The rule for the null, before looking: it is **rejected** if for some layer and length the
# expected confidence gains AUROC2 within domain along the probe's direction, with an interval above
# zero at 95 % for all pushes together (Bonferroni), and more than every random direction there.

# %%
summary = steering_summary(
    table,
    correct,
    questions["domain"].to_numpy(dtype=str),
    resamples=config.bootstrap_resamples,
    seed=config.seed,
)
lines = effects_table(effects)
claim_folder(page / "steering")
write_atomically(page / "steering" / "steering.csv", lambda path: write_csv(lines, path))
index = write_report(
    page / "steering",
    f"Can {config.model.shown} be steered into saying what it knows?",
    [
        Section(
            "Level and discrimination under steering",
            "Grey: a random direction of the same length.",
            figure,
            "steering",
        )
    ],
    summary,
    {"run": name, "plan": plan.__dict__},
    ("steering.csv",),
    (),
)
printed = [
    f"{key:32}{value if isinstance(value, str | int) else f'{value:.3f}'}"
    for key, value in summary.items()
]
sys.stdout.write("\n".join([*printed, f"figures: {index}"]) + "\n")
