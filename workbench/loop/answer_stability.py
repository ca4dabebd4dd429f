"""What teaching did to the answers: accuracy before and after, and how many answers are the same to
the letter.

An adapter on the confidence reply cannot change answers; a sample of batches is answered again to
show it. One on the whole conversation is switched off while answering as well, but it is also let
answer with it on, to see what it would do. The answers it left as they were are where confidence
before and after is about the same thing: :func:`same_answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.loop.conditions import Readouts
from workbench.loop.run import Run
from workbench.measure import bootstrap

ADAPTER_ON = "answers_adapter_on"
RIGHT = "right"


def answer_accuracy(
    context: Run, r: Readouts, again: str, when: str, *, resamples: int, seed: int
) -> dict[str, Any]:
    """``accuracy.before``, ``accuracy.<when>`` and the shares of unchanged answers, of what the
    stage ``again`` answered.

    Accuracy is of the graded answers; ``accuracy.<when>.ungraded`` counts the others where there
    are any.
    """
    rows = r.questions["row"]
    base = context.stage("answer").table("answers").set_index("row")
    before = base.loc[rows]

    def accuracy(table: pd.DataFrame, key: str) -> dict[str, float]:
        correct = table["correct"].dropna().to_numpy(dtype=float)
        found: dict[str, float] = bootstrap(
            np.mean, correct, resamples=resamples, seed=seed
        ).to_dict(key)
        ungraded = len(table) - len(correct)
        return found | ({f"{key}.ungraded": ungraded} if ungraded else {})

    if context.config.questions.graded_file is not None:
        return accuracy(before, "accuracy.before")
    off, on = (
        context.stage(again).table("answers").set_index("row"),
        answers_with_adapter(context, again),
    )
    after = before.copy()
    after.update(off)
    # What cannot be graded any more keeps no earlier grade.
    lost = off.index[off["correct"].isna()].intersection(after.index)
    after.loc[lost, "correct"] = pd.NA

    end = "" if when == "after" else f".{when}"
    return {
        **accuracy(before, "accuracy.before"),
        **accuracy(after, f"accuracy.{when}"),
        f"answers.unchanged{end}": float((base["answer"].loc[off.index] == off["answer"]).mean()),
        f"answers.repeated{end}": len(off),
        **({} if on is None else accuracy(on, f"accuracy.adapter_on_while_answering{end}")),
        f"answers.unchanged_adapter_on{end}": None
        if on is None
        else float((before["answer"].loc[on.index] == on["answer"]).mean()),
        f"answers.adapter_on_rows{end}": 0 if on is None else len(on),
    }


def answers_with_adapter(context: Run, again: str) -> pd.DataFrame | None:
    """Answers given with the adapter on, by row; None for an adapter that cannot change them."""
    stage = context.stage(again)
    if not stage.holds(f"{ADAPTER_ON}.parquet"):
        return None
    return stage.table(ADAPTER_ON).set_index("row")


def right_with_adapter(
    context: Run, r: Readouts, again: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    """``right_<condition>`` [n]: grades (0, 1) of the answers given with the adapter on, NaN where
    none was given or it could not be graded.

    ``again`` names the stage that answered, by condition; those whose adapter cannot change answers
    are left out.
    """
    found = {name: answers_with_adapter(context, stage) for name, stage in again.items()}
    rows = r.questions["row"]
    return {
        f"{RIGHT}_{name}": np.asarray(
            table["correct"].astype("Float64").reindex(rows).to_numpy(na_value=np.nan),
            dtype=np.float64,
        )
        for name, table in found.items()
        if table is not None
    }


def same_answers(context: Run, r: Readouts, again: str) -> NDArray[np.bool_] | None:
    """[n] whether the adapter, on while answering, left the answer as it was; None where it
    cannot change it.
    """
    on = answers_with_adapter(context, again)
    if on is None:
        return None
    rows = r.questions["row"]
    before = context.stage("answer").table("answers").set_index("row")["answer"].loc[rows]
    return (before == on["answer"].reindex(rows)).to_numpy()
