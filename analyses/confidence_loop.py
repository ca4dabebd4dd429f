# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Does the model know when it is wrong, and can it be taught to say so?
#
# One loop on one model: ask questions, read the confidence it states and the distribution behind it, probe its hidden states,
# patch, teach, and look again. As a script this writes `figures/<run>/index.html`; as a notebook every figure also shows
# below its cell. A finished run is read back, so running this twice costs nothing.

# %%
import os
import sys
from pathlib import Path
from typing import Any

from workbench.config import load_config
from workbench.loop.reporting import sections
from workbench.loop.results import collect, patching_result
from workbench.run import finished, run

# %% [markdown]
# Settings come from the environment so that the same file serves any model: `WORKBENCH_MODEL` ("default", a Hugging Face id, a
# folder or a GGUF file), `WORKBENCH_QUESTIONS` (a file; default: the built-in set), `WORKBENCH_LIMIT`, `WORKBENCH_CONFIG`
# (a YAML or JSON file with any other setting) and `WORKBENCH_RUN` (a name).

# %%
wanted = {
    "model.name": os.environ.get("WORKBENCH_MODEL"),
    "questions.file": os.environ.get("WORKBENCH_QUESTIONS"),
    "questions.limit": int(os.environ["WORKBENCH_LIMIT"]) if "WORKBENCH_LIMIT" in os.environ else None,
}
file = os.environ.get("WORKBENCH_CONFIG")
config = load_config(Path(file) if file else None, {key: value for key, value in wanted.items() if value is not None})
name = os.environ.get("WORKBENCH_RUN", "default")
folder, figures = Path("runs") / name, Path("figures") / name

# %% [markdown]
# The loop itself: a minute or ten, depending on model and questions. It resumes where it was stopped.

# %%
summary = run(config, folder, figures)
context = finished(config, folder, figures)
readouts = collect(context)
patching = patching_result(context.stage("patch").table("sweep"), resamples=config.resamples, seed=config.seed)
drawn = {section.name: section for section in sections(context, readouts, patching, summary)}


def show(figure: str) -> Any:
    """Display a figure under a notebook kernel; as a script the pages are already written."""
    if "ipykernel" in sys.modules:
        drawn[figure].figure.show()


# %% [markdown]
# ## What is said, and what is known
# Text, the softmax behind it, and a probe on the hidden states, on held-out questions. Before teaching the text is nearly blind.

# %%
show("bottleneck")
show("stated_confidence")
show("reliability")

# %% [markdown]
# ## Where it is known
# A probe per layer and position, cross-fitted and scored on held-out questions, beside its shuffled-label control.

# %%
show("auroc2_by_layer")

# %% [markdown]
# ## Does it cause what is said?
# The tuned model's states, put into the base model at the number. Look at the controls first, then at *following*: only that
# tells whether the state carries its own question's confidence.

# %%
show("patching")
show("following")
show("layer_question")

# %% [markdown]
# ## In numbers

# %%
for key in ("auroc2.text.before", "auroc2.text.after", "auroc2.text.shuffled", "auroc2.probe", "patching.rho"):
    print(f"{key:24} {summary[key]:.3f}  [{summary[key + '.low']:.3f}, {summary[key + '.high']:.3f}]")  # noqa: T201
