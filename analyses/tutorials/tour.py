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
# # A tour: your model, your prompts, a first patching figure
#
# Ten lines lead from a blank notebook to a figure. Change any of them: the model, the prompts, what
# is read. Everything here takes seconds on two cores with the default model, which has 135 million
# parameters and is fetched once.

# %%
import workbench as wb

wb.show_progress()
lm = wb.load_model("default")
lm

# %% [markdown]
# Any causal language model of Hugging Face takes its place: `wb.load_model("org/name")`, the path
# of a folder, or of a GGUF file.
#
# ## A first figure
#
# Two prompts differ in one word. The donor's run is recorded. Then the prompt is run again and
# again, each time with the donor's state after one layer put at the last token, and everything
# after it is computed anew. What is read is one number: the logit of " Paris" minus that of "
# Rome". All layers share one forward pass.

# %%
prompt = "The capital of France is"
sweep = wb.sweep(lm, prompt, donor="The capital of Italy is", read=(" Paris", " Rome"))
sweep

# %% [markdown]
# The dashed lines are what the two prompts give unpatched. Where the curve lies on the prompt's
# line, the state at the last token holds nothing yet that tells France from Italy. Where it lies on
# the donor's line, that state alone is enough for the donor's answer.
#
# Beside the effect stand its controls. *Random vector* is the prompt's own state plus a random step
# as long as the donor's difference: what it moves, any step of that length moves. *Random position*
# is the donor's state of another token, at that token; in a prompt this short it may well be the
# country itself, and then it moves the answer as it should. The grey band is what a patch with the
# prompt's own state does: arithmetic alone. The last layer always lands on the donor's line,
# because nothing is left to compute after it.
#
# One pair of prompts has no interval. A list of prompts, and as many donors, gives one.
#
# ## Where it comes from
#
# The same patch at every token: layer by position.

# %%
wb.patch_map(lm, prompt, donor="The capital of Italy is", read=(" Paris", " Rome"))

# %% [markdown]
# Shift 0 means that nothing moved, shift 1 that the reading went all the way to the donor's. Tokens
# before the country are alike in both prompts, so no patch there can move anything. In early layers
# the country's own token decides, in late ones the last token; between them the answer has been
# carried over.
#
# ## Your own questions
#
# A question is a text with its accepted answers. The model answers in its own words, the answer is
# graded, and the model is asked how sure it is. The whole distribution over 0 to 100 is read too,
# not only the number that it writes.

# %%
asked_of_it = {
    "What is the capital of Italy?": "Rome",
    "What is the capital of Australia?": "Canberra",
    "How many legs does a spider have?": "8",
    "Which planet is nearest to the sun?": "Mercury",
}
questions = [
    wb.Question(str(number), text, (answer,), "my own", source="me", licence="")
    for number, (text, answer) in enumerate(asked_of_it.items())
]
asked = wb.ask(lm, questions)
asked.table()[["question", "answer", "correct", "stated", "expected"]]

# %% [markdown]
# *Stated* is the number in the text, *expected* the mean of the distribution. A small model tends
# to write nearly the same number everywhere. Four questions show how it is done, and nothing about
# the model. `wb.load_questions("my.jsonl")` reads a file of them, `wb.load_questions("builtin")`
# has hundreds.
#
# ## A patch between your questions
#
# Asked questions are prompts as well. The question it is least sure of gets the states of the one
# it is surest of, at the token before the number; what is read is the expected confidence.

# %%
least, surest = asked.expected.argmin(), asked.expected.argmax()
wb.sweep(lm, asked[[least]], donor=asked[[surest]])

# %% [markdown]
# One pair is a demonstration. Look at the axis before the shape: where the two lines are close
# together, small steps look large, and so do the controls. `workbench notebook critical_reading`
# shows what to ask of such a figure before believing it.
#
# ## Where to go from here
#
# * `workbench notebook activation_patching`: twenty minutes of exercises.
# * `workbench notebook critical_reading`: the controls that show when a figure fools you.
# * `workbench run --name mine --model org/name --questions my.jsonl`: the whole loop, with a page.
# * `workbench show default`: the same patches with the mouse.
