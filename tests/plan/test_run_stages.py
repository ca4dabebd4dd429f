"""Planned passes are counted passes: every stage of the loop is run on the tiny model, and what its
decoder and its layers are given is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from workbench.loop import STAGES
from workbench.loop.run import Run
from workbench.plan.finished import planned_run_of
from workbench.plan.run_stages import forwards_in, planned_stages


@contextmanager
def counted(context: Run, calls: list[tuple[int, int]] | None = None) -> Iterator[dict[str, int]]:
    """Count decoder calls and columns of all layers inside the block."""
    found = {"forwards": 0, "token_layers": 0}

    def call(_: Any, args: Any, kwargs: Any) -> None:
        found["forwards"] += 1
        if calls is not None:
            calls.append(tuple(kwargs["input_ids"].shape))

    def columns(_: Any, args: Any, output: Any) -> None:
        hidden = output[0]
        found["token_layers"] += hidden.shape[0] * hidden.shape[1]

    lm = context.lm
    hooks = [lm.decoder().register_forward_pre_hook(call, with_kwargs=True)]
    # Attention is not called in layers that a pass goes around, and gets what a layer computes.
    hooks += [
        layer.get_submodule("self_attn").register_forward_hook(columns) for layer in lm.layers()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("fixture", ["finished_run"])
def test_planned_passes_are_counted_ones(writable: Run, fixture: str) -> None:
    run = planned_run_of(writable)
    planned = planned_stages()
    for stage in STAGES:
        groups = planned[stage.name](run)
        if not groups:
            continue
        again = writable.store.stage("again", "")
        again.begin()
        assert stage.work is not None
        with counted(writable) as found:
            stage.work(writable, again)
        every = forwards_in(groups)
        columns = sum(each.token_layers for each in every)
        counts = {"forwards": len(every), "token_layers": columns}
        assert found == counts, stage.name
