"""Measure what training did to the answers: accuracy before and after, and how many answers are the
same to the letter.

An adapter on the confidence reply cannot change answers; a sample of batches is answered again to
show it. One on the whole conversation is switched off while answering as well, but the model also
answers with it on, to see what it would do. Only for answers it left unchanged is confidence before
and after about the same thing: :func:`unchanged_answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.loop.conditions import BEFORE, Condition, Key, Measures, Readouts
from workbench.loop.run import Run
from workbench.measure import Bootstrap, bootstrap

ADAPTER_ON = "answers_adapter_on"
RIGHT = "right"


def answer_accuracy(
    context: Run, r: Readouts, again: str, condition: Condition, draw: Bootstrap
) -> Measures:
    """Return accuracy before and under ``condition``, and the shares of unchanged answers, for the
    questions that the stage ``again`` answered.

    Accuracy is of the graded answers; ``accuracy.ungraded`` counts the others where there are any.
    """
    rows = r.questions["row"]
    base = context.stage("answer").table("answers").set_index("row")
    before = base.loc[rows]

    def accuracy(table: pd.DataFrame, key: Key) -> Measures:
        correct = table["correct"].dropna().to_numpy(dtype=float)
        found: Measures = {key: bootstrap(np.mean, correct, **draw.options)}
        ungraded = len(table) - len(correct)
        return found | (
            {replace(key, measure=f"{key.measure}.ungraded"): ungraded} if ungraded else {}
        )

    if context.config.questions.graded_file is not None:
        return accuracy(before, Key("accuracy", condition=BEFORE))
    off, on = (
        context.stage(again).table("answers").set_index("row"),
        answers_with_adapter(context, again),
    )
    after = before.copy()
    after.update(off)
    # An answer that cannot be graded any more keeps no earlier grade.
    lost = off.index[off["correct"].isna()].intersection(after.index)
    after.loc[lost, "correct"] = pd.NA

    def share(table: pd.DataFrame, answers: pd.DataFrame) -> float:
        return float((answers["answer"].loc[table.index] == table["answer"]).mean())

    counted = {
        "unchanged": share(off, base),
        "repeated": len(off),
        "unchanged_adapter_on": None if on is None else share(on, before),
        "adapter_on_rows": 0 if on is None else len(on),
    }
    on_key = Key("accuracy.adapter_on_while_answering", condition=condition)
    return {
        **accuracy(before, Key("accuracy", condition=BEFORE)),
        **accuracy(after, Key("accuracy", condition=condition)),
        **({} if on is None else accuracy(on, on_key)),
        **{
            Key(name, part="answers", condition=condition): value for name, value in counted.items()
        },
    }


def answers_with_adapter(context: Run, again: str) -> pd.DataFrame | None:
    """Return the answers given with the adapter on, by row; None for an adapter that cannot change
    them.
    """
    stage = context.stage(again)
    if not stage.holds(f"{ADAPTER_ON}.parquet"):
        return None
    return stage.table(ADAPTER_ON).set_index("row")


def right_with_adapter(
    context: Run, r: Readouts, again: Mapping[Condition, str]
) -> dict[str, NDArray[np.float64]]:
    """Return ``right_<condition>`` [n]: the grades (0, 1) of the answers given with the adapter on,
    NaN where none was given or it could not be graded.

    ``again`` names the stage that answered, by condition; those whose adapter cannot change answers
    are left out.
    """
    found = {condition: answers_with_adapter(context, stage) for condition, stage in again.items()}
    rows = r.questions["row"]
    return {
        f"{RIGHT}_{condition.name}": np.asarray(
            table["correct"].astype("Float64").reindex(rows).to_numpy(na_value=np.nan),
            dtype=np.float64,
        )
        for condition, table in found.items()
        if table is not None
    }


def unchanged_answers(context: Run, r: Readouts, again: str) -> NDArray[np.bool_] | None:
    """Return whether the adapter, on while answering, left each answer [n] as it was; None where it
    cannot change answers.
    """
    on = answers_with_adapter(context, again)
    if on is None:
        return None
    rows = r.questions["row"]
    before = context.stage("answer").table("answers").set_index("row")["answer"].loc[rows]
    return (before == on["answer"].reindex(rows)).to_numpy()
