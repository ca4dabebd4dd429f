from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.elicit.segments import AFTER_ANSWER, ANSWER, CONFIDENCE, REPLY
from workbench.errors import WorkbenchError
from workbench.experiments.patching_maps.items import patching_items
from workbench.loop.run import Run
from workbench.patch.branches import layer_sites, single_cells
from workbench.patch.inputs import DonorPairs
from workbench.patch.segments import patch_cells
from workbench.trace.backends import engine


def test_held_out_questions_read_as_the_run_read_them(context: Run) -> None:
    with context.with_adapter("teach") as tuned:
        held = patching_items(context, tuned, 7)
        before, after = (
            held.reading.unpatched(inputs).numpy() for inputs in (held.before, held.after)
        )
    assert len(held.rows) == 6
    questions = context.stage("questions").table("questions").set_index("row")
    assert set(questions.loc[held.rows, "split"]) == {"test"}
    for stage, readout in (("elicit", before), ("elicit_tuned", after)):
        table = context.stage(stage).table("confidence").set_index("row")
        assert readout == pytest.approx(table.loc[held.rows, "expected"].to_numpy(), abs=1e-4)
    assert sorted(np.concatenate(held.batches)) == list(range(6))
    assert [part.name for part in held.reply] == [REPLY, CONFIDENCE]
    with pytest.raises(WorkbenchError, match="no part 'x'"):
        held.part("x")


def test_patches_before_the_adapters_reach_are_those_of_the_loop(context: Run) -> None:
    """With the adapter on, the packed engine gives what one hooked forward a branch gives, in the
    order of the cells.
    """
    rows, partner = np.arange(4), np.array([1, 0, 3, 2])
    with context.with_adapter("teach") as tuned:
        assert tuned.invocation_length is not None
        held = patching_items(context, tuned, 4)
        parts = [held.part(name) for name in (CONFIDENCE, ANSWER, REPLY, AFTER_ANSWER)]
        cells = single_cells(layer_sites([0, 2]), parts)
        (base, mixed), (looped_base, looped) = (
            patch_cells(
                DonorPairs(held.after, held.after, partner, np.zeros(4), held.batches, reading),
                cells,
                rows,
            )
            for reading in (held.reading, replace(held.reading, engine=engine("loop")))
        )
    assert base == pytest.approx(looped_base, abs=1e-5)
    assert mixed == pytest.approx(looped, abs=1e-5)
    assert np.abs(mixed - base[:, None]).max(axis=0).min() > 1e-6


def test_the_tuned_states_at_the_number_make_the_tuned_readout(context: Run) -> None:
    everyone = np.arange(4)
    with context.with_adapter("teach") as tuned:
        held = patching_items(context, tuned, 4)
        cells = single_cells(
            layer_sites([tuned.n_layers - 1]), [held.part(CONFIDENCE), held.part(REPLY)]
        )
        after = held.reading.unpatched(held.after).numpy()
        pairs = DonorPairs(held.before, held.after, everyone, after, held.batches, held.reading)
        base, patched = patch_cells(pairs, cells, everyone)
    assert np.abs(after - base).max() > 1e-4
    assert patched[:, 0] == pytest.approx(after, abs=1e-5)
    assert patched[:, 1] == pytest.approx(base, abs=1e-5)
