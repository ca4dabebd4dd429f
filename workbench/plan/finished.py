"""Read the planned questions of a finished run from its tables, so that its passes can be counted
exactly: nothing is assumed of what it wrote.

Texts are tokenised again; one that the model wrote in other tokens than its tokenizer would is
counted wrong by the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.elicit.answer import answer_prompts
from workbench.elicit.ask import answers_with_reasoning
from workbench.elicit.conversation import answer_beginning, reasoning_tokens
from workbench.elicit.formats import require_no_thought
from workbench.elicit.greedy import ends_number, holds_break
from workbench.elicit.readout import stated_tokens
from workbench.loop.confidence import confidence_conversations
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW
from workbench.plan.questions import PlannedQuestions
from workbench.plan.run_stages import PlannedRun
from workbench.questions import prompt_text
from workbench.settings.teaching import TeachSettings


def questions_of(context: Run) -> PlannedQuestions:
    """Return the questions of a finished run with what its base model wrote.

    Raises:
        WorkbenchError: for a run whose model thinks.
    """
    elicit, fmt, lm = context.config.elicit, context.fmt, context.lm
    require_no_thought(fmt, "A plan of tokens")
    table, questions = load_questions(context)
    said = answers_with_reasoning(context.stage("answer").table("answers"))
    texts = [prompt_text(question) for question in questions]
    reasonings = [one.reasoning for one in said]
    numbers = context.scale_tokens

    def written(text: str, limit: int) -> int:
        count = len(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
        return min(count + 1, limit)

    return PlannedQuestions(
        table=table[[ROW, "domain", "split"]],
        opened=answer_prompts(lm, fmt, texts, [""] * len(texts)),
        reasoning=[reasoning_tokens(lm.tokenizer, fmt, text) for text in texts]
        if fmt.reasoning_prefix
        else [],
        reasoned=[written(text, elicit.reasoning_tokens) for text in reasonings]
        if fmt.reasoning_prefix
        else [],
        prompts=answer_prompts(lm, fmt, texts, reasonings),
        answered=[written(one.answer, elicit.answer_tokens) for one in said],
        conversations=confidence_conversations(context),
        stated=stated_lengths(context, "elicit", table[ROW].tolist()),
        numbers=numbers,
        reply=context.reply,
        beginning=answer_beginning(lm.tokenizer, fmt),
        fmt=fmt,
        tokenizer=lm.tokenizer,
        given=context.config.questions.graded_file is not None,
        notes=(),
    )


def stated_lengths(context: Run, stage: str, rows: Sequence[int]) -> list[int]:
    """Return the tokens of the confidence that a stage's model stated on ``rows``, the one that
    ends it included.
    """
    numbers, tokenizer = context.scale_tokens, context.lm.tokenizer
    texts = context.stage(stage).table("confidence").set_index(ROW)["stated_text"]
    ends = holds_break if numbers.scale.reader == "words" else ends_number
    found = []
    for text in texts.loc[list(rows)]:
        said = text.removeprefix(numbers.said)
        count = len(tokenizer(said, add_special_tokens=False)["input_ids"])
        # The token that ends a turn is not in the text.
        found.append(min(count + (not ends(said)), stated_tokens(numbers)))
    return found


def with_stated(run: PlannedRun, context: Run, stage: str) -> None:
    """Plan on with what the model of ``stage`` stated, on the questions it read."""
    table = context.stage(stage).table("confidence")
    rows: list[int] = table[ROW].tolist()
    stated = list(run.questions.stated)
    for row, count in zip(rows, stated_lengths(context, stage, rows), strict=True):
        stated[row] = count
    run.questions = replace(run.questions, stated=stated)


def planned_run_of(context: Run) -> PlannedRun:
    """Return a finished run as a plan, with the targets that it taught."""
    lm, asked = context.lm, questions_of(context)
    facts = context.stage("teach").facts()
    settings = TeachSettings.model_validate(facts["teach"])
    table = context.stage("teach").table("targets").set_index(ROW)
    targets = table["probability"].loc[asked.side("train")].to_numpy(dtype=np.float64)
    size = 2 if lm.precision == "bfloat16" else lm.dtype.itemsize
    model = context.config.model.model_copy(update={"precision": lm.precision})
    config = context.config.model_copy(update={"teach": settings, "model": model})
    of_token = lm.n_layers * 2 * lm.n_key_value_heads * lm.head_size * size
    return PlannedRun(config, asked, lm.n_layers, lm.n_heads, of_token, targets)
