"""Planned passes are counted passes: every stage of the loop is run on the tiny model, and what its
decoder and its layers are given is counted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import workbench.elicit.readout
from workbench.loop import STAGES, open_current_run
from workbench.loop.run import Run
from workbench.plan.finished import planned_run_of
from workbench.plan.run_stages import PlannedRun, forwards_in, planned_stages


@contextmanager
def counted(context: Run) -> Iterator[dict[str, int]]:
    """Count decoder calls and columns of all layers inside the block."""
    found = {"forwards": 0, "token_layers": 0}

    def call(*_: Any) -> None:
        found["forwards"] += 1

    def columns(_: Any, args: Any, output: Any) -> None:
        hidden = output[0]
        found["token_layers"] += hidden.shape[0] * hidden.shape[1]

    lm = context.lm
    hooks = [lm.decoder().register_forward_pre_hook(call)]
    # Attention is not called in layers that a pass goes around, and gets what a layer computes.
    hooks += [
        layer.get_submodule("self_attn").register_forward_hook(columns) for layer in lm.layers()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int]]]:
    """Gather how many tokens of a confidence are written, batch by batch: the tiny model writes
    some that its tokenizer would not.
    """
    found: list[list[int]] = []
    greedy = workbench.elicit.readout.greedy

    def gather(*args: Any, **options: Any) -> list[list[int]]:
        tokens = greedy(*args, **options)
        found.append([len(row) for row in tokens])
        return tokens

    with monkeypatch.context() as patched:
        patched.setattr(workbench.elicit.readout, "greedy", gather)
        yield found


def take_written(run: PlannedRun, stage: str, found: list[list[int]]) -> None:
    if not found:
        return
    every = range(len(run.questions))
    rows = run.questions.side("test") if stage == "elicit_control" else list(every)
    stated = list(run.questions.stated)
    for batch, counts in zip(run.batches(rows), found, strict=True):
        for row, count in zip(batch, counts, strict=True):
            stated[row] = count
    run.questions = replace(run.questions, stated=stated)


@pytest.mark.parametrize("kind", ["finished_run", "conversation_run"])
def test_planned_passes_are_counted_ones(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = request.getfixturevalue(kind)
    folder = shutil.copytree(made.folder, tmp_path / "run")
    context = open_current_run(made.inputs.config, folder, made.figures)
    run = planned_run_of(context)
    seen = []
    for stage in STAGES:
        if stage.name not in planned_stages() or stage.work is None:
            continue
        if stage.name in ("questions", "probe", "probe_tuned", "report"):
            assert not planned_stages()[stage.name](run)
            continue
        again = context.store.stage(f"again_{stage.name}", "")
        again.begin()
        with counted(context) as found, written(monkeypatch) as texts:
            stage.work(context, again)
        take_written(run, stage.name, texts)
        every = forwards_in(planned_stages()[stage.name](run))
        columns = sum(each.token_layers for each in every)
        assert found == {"forwards": len(every), "token_layers": columns}, stage.name
        seen.append(stage.name)
    assert len(seen) == 8
