from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.jobs import COUNT, training_job
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter, initialise_from, remove_adapter
from workbench.teach.recipes import train_on_examples
from workbench.teach.recipes.curriculum import evenly_drawn, train_with_curriculum
from workbench.teach.recipes.objectives import configured_objective

SETTINGS = {"epochs": 2, "batch_size": 25, "lora": {"rank": 2, "dropout": 0.0}}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def test_tenths_of_the_scale_are_drawn_alike() -> None:
    targets = np.array([0.95] * 40 + [1.0] * 6 + [0.31, 0.39] + [0.05] * 12)
    drawn = evenly_drawn(targets, 0)
    tenth = np.minimum((10 * targets[drawn]).astype(int), 9)
    assert np.unique(tenth, return_counts=True)[1].tolist() == [20, 20, 20]
    counts = np.bincount(drawn, minlength=60)
    assert sorted(counts[46:48]) == [10, 10]
    assert set(counts[48:]) == {1, 2}
    assert counts[:46].max() == 1
    assert not np.array_equal(drawn, evenly_drawn(targets, 1))
    assert len(evenly_drawn(targets[:47], 0)) == 47


def test_the_second_stage_begins_where_the_first_ended(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    job = replace(training_job(tiny_lm, **SETTINGS), folder=tmp_path / "both")
    taught = train_with_curriculum(configured_objective)(job)
    remove_adapter(taught.lm)
    steps = COUNT // 25
    assert [row["step"] for row in taught.log] == list(range(1, 3 * steps + 1))
    counted = [row["tokens"] for row in taught.log]
    assert counted == sorted(set(counted))
    assert counted[-1] == taught.tokens
    drawn = job.at(evenly_drawn(job.targets, job.seed))
    one = replace(
        drawn, settings=job.settings.model_copy(update={"epochs": 1}), folder=tmp_path / "one"
    )
    first = train_on_examples(configured_objective)(one)
    remove_adapter(first.lm)
    second = train_on_examples(configured_objective, start=tmp_path / "one" / "adapter")(
        replace(job, folder=tmp_path / "two")
    )
    remove_adapter(second.lm)
    for name, value in weights(tmp_path / "two").items():
        torch.testing.assert_close(weights(tmp_path / "both")[name], value, rtol=0, atol=0)
    assert taught.tokens == first.tokens + second.tokens
    alone = train_on_examples(configured_objective)(replace(job, folder=tmp_path / "alone"))
    remove_adapter(alone.lm)
    assert second.log[0]["loss"] < alone.log[0]["loss"]


def test_a_lesson_at_some_rows_holds_them_in_order(tiny_lm: LanguageModel) -> None:
    job = replace(
        training_job(tiny_lm, **SETTINGS),
        states=lambda position: np.arange(COUNT * 6, dtype=np.float32).reshape(COUNT, 2, 3),
        grade=lambda number, answer: answer == str(number),
    )
    rows = np.array([3, 0, 3])
    part = job.at(rows)
    assert part.conversations == [job.conversations[row] for row in rows]
    assert part.questions == [job.questions[row] for row in rows]
    assert part.targets.tolist() == job.targets[rows].tolist()
    assert np.array_equal(part.states("any"), job.states("any")[rows])
    assert np.array_equal(part.base, job.base[rows])
    assert part.grade is not None
    assert [part.grade(number, "3") for number in range(3)] == [True, False, True]
    assert training_job(tiny_lm, **SETTINGS).at(rows).grade is None


def test_an_adapter_of_another_shape_is_no_beginning(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    taught = train_on_examples(configured_objective)(
        replace(training_job(tiny_lm, **SETTINGS), folder=tmp_path)
    )
    plain = remove_adapter(taught.lm)
    lora = training_job(tiny_lm, **SETTINGS).settings.lora
    tuned = add_adapter(plain, lora.model_copy(update={"rank": 3}))
    with pytest.raises(WorkbenchError, match="other modules, layers or ranks"):
        initialise_from(tuned, tmp_path / "adapter")
    remove_adapter(tuned)
