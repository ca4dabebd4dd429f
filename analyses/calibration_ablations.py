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
# # What makes calibration tuning work?
#
# A model is taught to say whether its own answer is right (recipe `calibration`, Kapoor et al.
# 2024). Here the recipe is taken apart: how many graded answers it takes, what the pull towards the
# base model does, how much of the estimate comes from the question alone, and whether what was
# learnt holds for another model's answers, another form of question, and questions that have no
# answer.
#
# Run as a script it writes `figures/<run>/ablations/`: page, figures, `ablations.parquet`, and
# `ablations.json` with the configuration that made them. Opened as a notebook it draws below the
# cells. Stopped and started again, it goes on where it was.
#
# | variable | meaning | default |
# |---|---|---|
# | `WORKBENCH_MODEL` | a hub id, a folder, or a GGUF file | the small default model |
# | `WORKBENCH_QUESTIONS` | a JSONL, CSV or parquet file | the built-in questions |
# | `WORKBENCH_LIMIT` | questions to draw, evenly over domains | the settings' default |
# | `WORKBENCH_CONFIG` | a YAML or JSON file with any other setting | the settings' defaults |
# | `WORKBENCH_RUN` | name of the run | `ablations` |
# | `WORKBENCH_FORM` | form that is taught, `open` or `choice`; the other one is taught and judged beside it | `open` |
# | `WORKBENCH_SHARES` | per cents of the labels, by commas; all labels are always taught | `25,50` |
# | `WORKBENCH_OTHER_ANSWERS` | JSONL of graded answers by another model, as `answer/graded.jsonl` of its run | left out |
# | `WORKBENCH_UNANSWERABLE` | questions some of which have no answer: a file (`"answerable": false`) or a hub set, such as `selfaware` | left out |

# %%
from __future__ import annotations

import sys
from pathlib import Path

from workbench.cli.terminal import bars
from workbench.errors import WorkbenchError
from workbench.experiments.calibration.page import sections, write_ablations
from workbench.experiments.calibration.run import OPPOSITE, AblationPlan, ablate, ablation_lines
from workbench.experiments.transfer.evaluate import held_out_rows
from workbench.notebook import asked_config, asked_reuse, console, option, root, show

# %%
config, name = asked_config(), option("RUN", "ablations")
shares, form = option("SHARES", "25,50"), option("FORM", "open")
if not all(part.strip().isdigit() for part in shares.split(",")):
    raise WorkbenchError(
        f"WORKBENCH_SHARES is {shares!r}; give whole per cents by commas, such as 25,50."
    )
if form not in OPPOSITE:
    raise WorkbenchError(f"WORKBENCH_FORM is {form!r}; choose one of {', '.join(OPPOSITE)}.")
others = option("OTHER_ANSWERS", "")
plan = AblationPlan(
    form="choice" if form == "choice" else "open",
    percents=tuple(int(part) for part in shares.split(",")),
    other_answers=Path(others).expanduser() if others else None,
    unanswerable=option("UNANSWERABLE", "") or None,
)

# %% [markdown]
# ## Teaching and judging
#
# Everything is taught with one seed on one split, which a hash of the question decides: a question
# that is held out in one form is held out in the other. A fifth of the training questions is kept
# back by every arm, so that labels are counted from four fifths of them.

# %%
with bars(console()):
    done = ablate(config, plan, root() / "runs" / name, root() / "figures" / name, asked_reuse())
    lines = ablation_lines(done)

# %% [markdown]
# ## In pictures
#
# All intervals are 95 % bootstrap intervals over held-out questions. They say nothing of another
# training seed or another draw of labels. Where two conditions are compared, the paired difference
# counts, not whether their intervals overlap.

# %%
settings = done.home.context.config
tested = len(held_out_rows(done.home.context))
caption = (
    f"{settings.model.name}, {tested} held-out questions, taught on {plan.form} questions, format "
    f"{settings.elicit.format}"
)
figures = sections(lines, caption)
for section in figures:
    show(section.figure)

# %% [markdown]
# ## In short

# %%
configuration = {"plan": plan.described(), "run": settings.model_dump(mode="json")}
index, _ = write_ablations(
    root() / "figures" / name / "ablations", lines, done.left_out, configuration, figures
)
printed = [
    f"{line.ablation:14}{line.judge:28}{line.condition:34}{line.measure:22}"
    f"{line.estimate.value:.3f} "
    f"[{line.estimate.low:.3f}, {line.estimate.high:.3f}]"
    for line in lines
]
printed += [f"left out: {what}, because {why}" for what, why in done.left_out.items()]
sys.stdout.write("\n".join([*printed, f"figures: {index}"]) + "\n")
