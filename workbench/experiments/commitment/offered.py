"""Offer the model of a finished run to give its answers or to pass, base and taught.

The choice follows the run's own answers, in both orders of its options. Held-out questions are
offered whole; of the training questions, from which directions are made, a part spread over
domains. With an adapter on the confidence reply alone, the taught model reads the conversation as
the base model does up to the reply that states the choice, as when it states a confidence. The
table has a row a question and order-wise columns; nothing of it looks at a grade.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Rows
from workbench.elicit.choices import Choices, ask_choice
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.format import Format
from workbench.elicit.formats import configured, format_named, other_order, require_no_thought
from workbench.elicit.offers import offer_name
from workbench.elicit.readout import expected_confidence, read_reply
from workbench.elicit.reply_tokens import before_reply, reply_tokens
from workbench.loop.answers import answer_likelihoods, given_answers
from workbench.loop.patched_items import choose_items
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.questions import prompt_text
from workbench.trace.batches import plan_batches
from workbench.trace.prefix_cache import PrefixCache

STAGE = "commitment_offers"
OFFERED, SHOWN, SWAPPED = "offered", "shown", "swapped"
TAUGHT = "_taught"


def offer_of(run: Run, offer: str) -> Format:
    """Return the format of the ``offer`` after the answer, asked as the run asks.

    Raises:
        WorkbenchError: for a run that thinks.
    """
    require_no_thought(run.fmt, "The choice to pass")
    return configured(format_named(offer_name(offer, "after", swapped=False)), run.config.elicit)


def offer_choices(
    run: Run, stage: StageStore, *, offer: str, training: int, teaching: bool
) -> dict[str, Any]:
    """Offer the choice on the held-out questions and on ``training`` training questions, and save
    the table: row, split, the choice in both orders, and with ``teaching`` the taught model's
    on held-out questions.

    Raises:
        WorkbenchError: for a run that thinks, or whose answers came from a file.
    """
    fmt, rows = offer_of(run, offer), offered_rows(run, training)
    answer_likelihoods(run, rows)  # What is measured later needs them; refused before any forward.
    choices = _choices(run, run.lm, fmt, rows, partial(run_parts, stage))
    table = choices.table.drop(columns=ROW).rename(
        columns={"p_commit_shown": SHOWN, "p_commit_swapped": SWAPPED}
    )
    questions, _ = load_questions(run)
    table.insert(0, ROW, rows)
    table["split"] = questions["split"].to_numpy()[rows]
    if teaching:
        # Directions are of the base model, so the taught one is asked held-out questions alone.
        test = np.flatnonzero(table["split"] == "test")
        with run.with_adapter("teach") as tuned:
            for name, values in _taught(run, tuned, fmt, rows, test, choices, stage).items():
                table[f"{name}{TAUGHT}"] = np.full(len(table), np.nan)
                table.loc[test, f"{name}{TAUGHT}"] = values
    stage.save_table(OFFERED, table)
    return {"format": fmt.name, "precision": run.lm.precision}


def offered_rows(run: Run, training: int) -> Rows:
    """Return the rows that are offered: all graded held-out questions, and ``training`` graded
    training questions spread evenly over domains by the run's seed.
    """
    questions, _ = load_questions(run)
    graded = run.stage("answer").table("answers")["correct"].notna().to_numpy()
    known = questions[graded]
    test = known[known["split"] == "test"][ROW].to_numpy()
    train = choose_items(known, training, run.config.seed, split="train")
    return np.sort(np.concatenate([train, test])).astype(np.int64)


def _choices(run: Run, lm: LanguageModel, fmt: Format, rows: Rows, runner: Any) -> Choices:
    _, questions = load_questions(run)
    said = given_answers(run)
    return ask_choice(
        lm,
        [prompt_text(questions[row]) for row in rows],
        fmt,
        [said[row] for row in rows],
        tokens_per_forward=run.config.model.tokens_per_forward,
        run=runner,
    )


def _taught(
    run: Run,
    tuned: LanguageModel,
    fmt: Format,
    rows: Rows,
    test: Rows,
    base: Choices,
    stage: StageStore,
) -> dict[str, Floats]:
    """Return the taught model's P(commit) in both orders, of those at the places ``test`` of the
    offered ``rows``.
    """
    if run.config.teach.adapter_scope == "conversation":
        runner = partial(_run_taught, stage)
        table = _choices(run, tuned, fmt, rows[test], runner).table
        return {
            SHOWN: table["p_commit_shown"].to_numpy(),
            SWAPPED: table["p_commit_swapped"].to_numpy(),
        }
    orders = {SHOWN: (fmt, base.conversations), SWAPPED: (other_order(fmt), base.swapped)}
    return {
        name: _replies(
            run, tuned, order, base.numbers, [conversations[at] for at in test], stage, name
        )
        for name, (order, conversations) in orders.items()
    }


def _run_taught(stage: StageStore, batches: Any, compute: Any, description: str) -> Part:
    return run_parts(stage, batches, compute, f"{description}, taught")


def _replies(
    run: Run,
    tuned: LanguageModel,
    fmt: Format,
    numbers: ScaleTokens,
    conversations: Sequence[Conversation],
    stage: StageStore,
    name: str,
) -> Floats:
    """Return P(commit) where the adapter acts on the reply that states the choice alone."""
    model, scale = run.config.model, numbers.scale
    reply = reply_tokens(tuned.tokenizer, fmt, numbers)

    def compute(batch: Rows) -> Part:
        # Of each conversation the beginning is read once, so nothing need be kept for later.
        cache = PrefixCache(0, model.tokens_per_forward, None)
        begun = [before_reply(conversations[at], reply) for at in batch]
        reading = read_reply(tuned, cache.kept(tuned, batch, begun), reply, numbers)
        commit = expected_confidence(reading.distribution, scale.values, scale.certain)
        return Part(pd.DataFrame({ROW: batch, "commit": commit}), {})

    lengths = [len(each.tokens) for each in conversations]
    batches = plan_batches(lengths, model.tokens_per_forward)
    found: Floats = (
        run_parts(stage, batches, compute, f"choosing, taught, {name}").table["commit"].to_numpy()
    )
    return found
