from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends import engine
from workbench.trace.backends.inputs import model_inputs
from workbench.trace.backends.strings import StringBatch, join_strings, string_batches
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree

CPU = torch.device("cpu")
PROMPTS = [[5, 6, 7], [8]]
TREE = TokenTree((40, 41, 42), (-1, 0, -1))


def patch(positions: list[int]) -> Patch:
    rows = torch.arange(len(positions), dtype=torch.float32)[:, None]
    return Patch(Site(1), torch.tensor(positions), rows.expand(-1, 32))


def written(batches: list[StringBatch]) -> set[tuple[int, int, int, float]]:
    """(row, node, token, value) of everything the first branch writes."""
    return {
        (string.row, string.node, int(batch.prompts.tokens[row, column]), float(value[0]))
        for batch in batches
        for write in batch.programs[0]
        for row, column, value in zip(
            write.rows.tolist(), write.columns.tolist(), write.value, strict=True
        )
        for string in [batch.strings[row]]
    }


def test_positions_become_columns_of_the_left_padded_batch(tiny_lm: LanguageModel) -> None:
    [batch] = string_batches(tiny_lm, PROMPTS, [[patch([1, 0])]], NO_TREE, 99, CPU)
    assert batch.prompts.tokens.tolist() == [[5, 6, 7], [0, 0, 8]]
    [[write]] = batch.programs
    assert write.rows.tolist() == [0, 1]
    assert write.columns.tolist() == [1, 2]
    inputs = model_inputs(batch.prompts)
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert inputs["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]


def test_every_path_is_a_string_and_a_patch_stands_on_those_that_hold_its_token(
    tiny_lm: LanguageModel,
) -> None:
    """A prompt's token is in all four strings of its row, node 0 in its own and in node 1's."""
    for budget in (99, 9, 1):
        batches = string_batches(tiny_lm, PROMPTS, [[patch([1, 0])]], TREE, budget, CPU)
        strings = [string for batch in batches for string in batch.strings]
        assert {(s.row, s.node, s.tokens) for s in strings} == {
            (0, -1, (5, 6, 7)),
            (0, 0, (5, 6, 7, 40)),
            (0, 1, (5, 6, 7, 40, 41)),
            (0, 2, (5, 6, 7, 42)),
            (1, -1, (8,)),
            (1, 0, (8, 40)),
            (1, 1, (8, 40, 41)),
            (1, 2, (8, 42)),
        }
        nodes = range(-1, 3)
        assert written(batches) == {(0, n, 6, 0.0) for n in nodes} | {(1, n, 8, 1.0) for n in nodes}
        batches = string_batches(tiny_lm, PROMPTS, [[patch([3, 1])]], TREE, budget, CPU)
        assert written(batches) == {
            (row, node, 40, float(row)) for row in (0, 1) for node in (0, 1)
        }


def test_readouts_come_back_in_the_rows_order(tiny_lm: LanguageModel) -> None:
    batches = string_batches(tiny_lm, PROMPTS, [[patch([1, 0])]], TREE, 9, CPU)
    assert len(batches) > 1

    def read(program: int, batch: StringBatch) -> torch.Tensor:
        return torch.tensor([100.0 * program + 10 * s.row + s.node + 1 for s in batch.strings])

    found = join_strings(batches, ([read(p, batch) for p in (0, 1)] for batch in batches), 2, TREE)
    assert found.base.tolist() == [[0, 1, 2, 3], [10, 11, 12, 13]]
    assert found.patched.tolist() == [[[100, 101, 102, 103]], [[110, 111, 112, 113]]]


def test_donors_of_another_width_or_batch_are_refused(tiny_lm: LanguageModel) -> None:
    for site, value in (
        (Site(0), torch.zeros(2, 64)),
        (Site(0), torch.zeros(1, 32)),
        (Site(0, "head_out", 0), torch.zeros(2, 32)),
    ):
        wrong = Patch(site, torch.zeros(len(value), dtype=torch.long), value)
        with pytest.raises(WorkbenchError, match="of the same width"):
            string_batches(tiny_lm, PROMPTS, [[wrong]], NO_TREE, 99, CPU)


def test_a_write_owns_its_values(tiny_lm: LanguageModel) -> None:
    """A slice of a recording would otherwise keep, and be sent with, the whole of it."""
    large = torch.randn(2, 100, 32)
    slice_of = Patch(Site(1), torch.tensor([1, 0]), large[:, 3], "add")
    [batch] = string_batches(tiny_lm, PROMPTS, [[slice_of]], NO_TREE, 99, CPU)
    [[write]] = batch.programs
    assert write.add
    assert write.value.equal(large[:, 3])
    assert write.value.untyped_storage().nbytes() == 2 * 32 * 4


def test_recurrent_families_run_strings_of_one_length_together(
    make_tiny: Callable[..., LanguageModel],
) -> None:
    lm = make_tiny("falcon_h1")
    prompts = [[5, 6, 7], [8, 9]]
    found = engine("nnsight")(lm).record(prompts, [[1], [1]], [Site(1), Site(2, "resid_pre")])
    for row, prompt in enumerate(prompts):
        own = lm.model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[2][0, 1]
        torch.testing.assert_close(found[row, 0, 0], own)
        torch.testing.assert_close(found[row, 1, 0], own)
    assert {
        batch.prompts.rows
        for batch in string_batches(lm, prompts, [[patch([0, 0])]], TREE, 99, CPU)
    } == {1, 3}
