from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

from workbench.bench.run_passes import STAGE_PASSES
from workbench.bench.run_tokens import RunTokens
from workbench.loop import STAGES
from workbench.loop.confidence import (
    confidence_conversations,
    conversations_from_cache,
    fill_prefixes,
)
from workbench.loop.run import Run
from workbench.plan.products import ProductShape

# Least and most of what torch counts over what is counted here. Above one: padding, rows that have
# ended and stay in their batch. Below: the last layer of a step is not computed whole.
BOUNDS = {
    "answer": (1.0, 1.3),
    "elicit": (1.0, 1.3),
    "teach": (0.8, 1.0),
    "elicit_tuned": (1.0, 1.3),
    "elicit_control": (1.0, 1.3),
    "patch": (1.0, 1.3),
}


def fill_caches(context: Run, name: str) -> None:
    """Compute the keys and values that the stages before have left in an uninterrupted run."""
    conversations = confidence_conversations(context)
    everyone = np.arange(len(conversations))
    if name == "elicit":
        begun = conversations_from_cache(context, conversations)
        assert begun is not None
        begun.kept(everyone)
    elif name != "answer":
        fill_prefixes(context, context.lm, conversations, everyone)


@pytest.mark.parametrize("name", list(BOUNDS))
def test_a_stage_computes_what_is_counted(writable: Run, name: str) -> None:
    """The stage is run once more, and torch counts its plain products."""
    work = {stage.name: stage.work for stage in STAGES}[name]
    assert work is not None
    lm, again = writable.lm, writable.store.stage("again", "")
    again.begin()
    fill_caches(writable, name)
    with FlopCounterMode(display=False) as counter:
        work(writable, again)
    found: dict[str, Any] = {
        str(op): count for op, count in counter.get_flop_counts()["Global"].items()
    }
    computed = found.get("aten.mm", 0) + found.get("aten.addmm", 0)
    shape = ProductShape.of(lm)
    passes = STAGE_PASSES[name](RunTokens(writable), shape)
    operations = [each.operations(shape) for each in passes]
    expected = sum(sum(each.values()) - each["attention"] for each in operations)
    low, high = BOUNDS[name]
    assert low <= computed / expected <= high, [(each.what, each.tokens) for each in passes]
