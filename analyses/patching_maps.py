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
# Maps of activation patching on a finished run: whose states, put where, move the number the model
# states? Layer by part of the conversation, layer by head, component by component, before the model
# was taught and after. The readout is always the expected value of the exact distribution over the
# confidence scale. Then a claim from the literature is put to the test with a rule written down
# beforehand.
#
# As a script it writes `figures/<run>/patching_maps/`. The run is made first if there is none.
# Parameters can be replaced from outside, see `workbench.notebook`.

# %%
from workbench.experiments.patching_maps.run import PatchingParameters
from workbench.notebook import run_experiment, show, tell

# %%
parameters = PatchingParameters(
    n_questions=16,  # held-out questions of every map
    claim_questions=40,  # held-out questions of the claim's test
    layers=8,  # of the maps, spread evenly
    precision="float32",  # matrix products
)

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
# Every map has its noise floor: the same places patched with the run's own states. Cells within it
# are hatched. And its control: one random other token of each conversation, after the answer (for
# what teaching added: of the reply), with the donor's states.

# %%
maps = run_experiment("patching_maps", parameters)
figures = maps.page.figures

# %% [markdown]
# ## Layer by position
#
# Read it from the bottom left, where everything about a question is in its own tokens, to the
# top right, where the last layer of the number's own place decides by itself. Bright cells between
# are where the confidence has gone in the meantime.

# %%
for pairing in ("before", "after", "taught"):
    show(figures[f"positions_{pairing}"])

# %% [markdown]
# ## Layer by head
#
# Single heads at the confidence position, and at the first token after the answer. Heads share the
# work, so their shifts are small.

# %%
for pairing in ("before", "after", "taught", "gathering"):
    show(figures[f"heads_{pairing}"])

# %% [markdown]
# ## Attention or MLP

# %%
for pairing in ("before", "after", "taught", "gathering"):
    show(figures[f"components_{pairing}"])

# %% [markdown]
# ## How far could gradients have told?
#
# Attribution patching estimates every cell at once, from two forwards and one backward. Its largest
# cells and as many random ones are patched truly; slope and rank correlation say how far the cheap
# map is to be trusted.

# %%
show(figures["attribution"])

# %% [markdown]
# ## A claim, and the rule for it
#
# Kumaran et al. (arXiv 2603.17839) find, in models of 7B and more, that confidence is gathered from
# the answer at the first token after it, kept there, and retrieved where the number is written.
# Here states of another question are put into the untaught model at one token, after all layers of
# a third of the model (early, middle, late) or after all layers. Controls: a random other token of
# the same turn, the answer itself, both places together.
#
# The rule, fixed before looking: **reproduced** if three intervals all lie above zero: (1) over all
# layers the first token after the answer carries more than the random token; (2) in the middle
# layers it carries more than the answer's own tokens; (3) the confidence position carries more in
# the late third than in the early one. **Contradicted** if one of the three lies below zero, or if
# the first token's own shift over all layers lies below a tenth of the way. **Undecided**
# otherwise. The four intervals (bootstrap over questions) hold together at 95 %.

# %%
show(figures["claim"])

# %%
show(figures["claim_conditions"])

# %% [markdown]
# ## In short
#
# A bright cell holds what moves the number when it is put there; it need not be where an unpatched
# run reads it. Heads and components are patched one by one, and what several do together is not the
# sum. "Reproduced" and "contradicted" are said of this model alone.

# %%
tell(maps)
