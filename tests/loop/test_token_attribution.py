"""The stage reads the same confidence as the others, keeps to its share, and says how far its
estimates hold; a run without it says so on its page.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.config import AttributionSettings
from workbench.elicit.readout import read_confidence
from workbench.loop import is_complete, open_run
from workbench.loop.confidence import confidence_conversations
from workbench.loop.question_explorer import question_explorer
from workbench.loop.results import loop_results
from workbench.loop.run import Run
from workbench.loop.stage_lines import stage_steps
from workbench.loop.token_attribution import (
    CHECKED_TOKENS,
    attribute,
    attributed_rows,
    draw_replacements,
    fitting_rows,
    no_gradients_reason,
)
from workbench.loop.token_colours import explanation
from workbench.models.adapter_switch import adapter_off
from workbench.report.explorer import write_explorer


def with_share(context: Run, share: float) -> Run:
    config = context.config.model_copy(update={"attribution": AttributionSettings(share=share)})
    return replace(context, config=config)


def test_rows_fit_into_the_share() -> None:
    """Two models forward and backward are 4 passes; a checked question has 3 more for each."""
    rows, tokens = np.arange(100, 140), [10] * 40
    assert len(fitting_rows(rows, tokens, 1000.0, 0.1, 0)) == 1
    assert len(fitting_rows(rows, tokens, 1000.0, 0.099, 0)) == 0
    # 16 questions of 100 tokens are checked, the further ones cost 40 each.
    assert len(fitting_rows(rows, tokens, 1000.0, 1.6 + 0.08, 0)) == 18
    chosen = fitting_rows(rows, tokens, 1e9, 1.0, 0)
    assert chosen.tolist() == rows.tolist()
    few = fitting_rows(rows, tokens, 1000.0, 0.7, 1)
    assert few.tolist() == sorted(few.tolist())
    assert few.tolist() != fitting_rows(rows, tokens, 1000.0, 0.7, 2).tolist()


def test_the_confidence_is_that_of_the_other_stages(context: Run) -> None:
    table = context.stage("attribute").table("attributed").set_index("row")
    patched = set(context.stage("patch").table("sweep")["row"])
    assert len(table) > 0
    assert {*table.index} <= patched
    for name, stage in (("base", "elicit"), ("taught", "elicit_tuned")):
        expected = context.stage(stage).table("confidence").set_index("row")["expected"]
        assert table[name].to_numpy() == pytest.approx(expected[table.index].to_numpy(), abs=1e-5)


def test_true_losses_are_those_of_whole_conversations(context: Run) -> None:
    """The first replaced token of a question, read anew by the reading stage's function."""
    line = context.stage("attribute").table("replaced")
    line = line[line["model"] == "taught"]
    assert (line.groupby("row").size() == CHECKED_TOKENS).all()
    row = int(line["row"].iloc[0])
    rows = context.stage("attribute").table("attributed")["row"].tolist()
    everyone = confidence_conversations(context)
    conversation = everyone[row]
    drawn = draw_replacements(context, everyone, rows)[rows.index(row)][0]
    at = int(line["position"].iloc[0])
    tokens = list(conversation.tokens)
    tokens[at] = drawn[at]
    edited = replace(conversation, tokens=tuple(tokens))
    with context.with_adapter("teach") as taught, torch.no_grad():
        reading = read_confidence(
            taught, [conversation, edited], context.scale_tokens, ("confidence",)
        )
    values = np.asarray(context.scale_tokens.trie.values) / context.scale_tokens.scale.certain
    shares = np.asarray(reading.distribution, dtype=float)
    means = (shares @ values) / shares.sum(axis=1)
    assert float(line["effect"].iloc[0]) == pytest.approx(means[0] - means[1], abs=1e-5)


def test_colours_stand_behind_the_tokens_of_attributed_questions(context: Run) -> None:
    explorer = question_explorer(context, loop_results(context))
    assert explorer is not None
    assert explorer.tokens is not None
    colours = explorer.tokens.colours
    assert colours is not None
    kept = context.stage("attribute")
    rows = loop_results(context).readouts.questions["row"].tolist()
    table = kept.table("attributed")["row"].tolist()
    for name in ("base", "taught"):
        for at, row in enumerate(rows):
            drawn = colours.values[f"{name} model"][at]
            if row not in table:
                assert drawn is None
                continue
            assert drawn is not None
            whole = kept.tensors("attribution")[name][table.index(row)]
            assert np.array_equal(drawn, whole[np.isfinite(whole)])
            assert len(drawn) == len(explorer.tokens.tokens[at])
    assert "Rank agreement" in colours.explanation
    write_explorer(explorer)


def test_what_a_check_says_decides_how_colours_are_read() -> None:
    facts = {"checked": 16, "checked_tokens": 2} | {
        f"{name}.rho{end}": value
        for name in ("base", "taught")
        for end, value in (("", 0.8), (".low", 0.6), (".high", 0.9))
    }
    assert "order of strong colours can be read" in explanation(facts)
    assert "not which token matters" in explanation(facts | {"base.rho.low": 0.1})
    assert "not which token matters" in explanation(
        facts | {"base.rho": None, "base.rho.low": None}
    )


def test_a_run_of_an_earlier_version_opens_and_says_what_is_missing(
    finished_run: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    shutil.rmtree(folder / "attribute")
    assert is_complete(folder)
    old = open_run(folder, finished_run.figures)
    explorer = question_explorer(old, loop_results(old))
    assert explorer is not None
    assert explorer.tokens is not None
    assert explorer.tokens.colours is not None
    assert not explorer.tokens.colours.values
    assert "version without it" in explorer.tokens.colours.missing
    steps = stage_steps(old, loop_results(old))
    assert "attribute" not in [step.name for step in steps]
    assert all(step.seconds is not None for step in steps)


def test_no_share_leaves_none_and_says_why(writable: Run) -> None:
    run = with_share(writable, 0)
    assert len(attributed_rows(run, confidence_conversations(run))) == 0
    stage = run.store.stage("attribute", "other")
    stage.begin()
    facts = attribute(run, stage)
    stage.finish(facts | {"seconds": 0.0, "peak_bytes": 0})
    run.keys["attribute"] = "other"
    run.measured.clear()
    explorer = question_explorer(run, loop_results(run))
    assert explorer is not None
    assert explorer.tokens is not None
    assert explorer.tokens.colours is not None
    assert "room for none" in explorer.tokens.colours.missing


def test_a_model_in_memory_has_gradients(context: Run) -> None:
    with context.with_adapter("teach") as taught, adapter_off(taught):
        assert no_gradients_reason(taught) == ""
