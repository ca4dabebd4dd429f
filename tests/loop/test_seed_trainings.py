from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from workbench.loop.run import Run
from workbench.loop.seed_trainings import SWEPT
from workbench.loop.targets import main_arm
from workbench.loop.teaching import teach_arm

TEACH, ELICIT, PATCH = "seeds/1/teach", "seeds/1/elicit", "seeds/1/patch"


def weights(run: Run, stage: str) -> dict[str, np.ndarray]:
    return load_file(run.stage(stage).folder / "adapter" / "adapter_model.safetensors")


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """To float32's rounding: where an array lies in memory decides a kernel's last bit."""
    assert one.keys() == other.keys()
    return all(np.allclose(one[name], other[name], rtol=0, atol=1e-6) for name in one)


def test_seeds_give_other_adapters_from_the_same_targets(seeds_context: Run) -> None:
    assert not same(weights(seeds_context, "teach"), weights(seeds_context, TEACH))
    first, second = (seeds_context.stage(name).table("targets") for name in ("teach", TEACH))
    pd.testing.assert_frame_equal(first, second)


def test_the_second_adapter_is_that_of_a_training_with_its_seed(
    writable: Run, seeds_context: Run
) -> None:
    store = writable.store.stage("alone", "key")
    store.begin()
    teach_arm(writable, store, main_arm(writable), seed=1, shuffled=False)
    writable.keys["alone"] = "key"
    assert same(weights(writable, "alone"), weights(seeds_context, TEACH))


def test_each_training_is_read_on_the_held_out_questions(seeds_context: Run) -> None:
    table = seeds_context.stage(ELICIT).table("confidence")
    test = seeds_context.stage("questions").table("questions").query("split == 'test'")["row"]
    assert table["row"].tolist() == test.tolist()
    first = seeds_context.stage("elicit_tuned").table("confidence").set_index("row").loc[test]
    assert np.abs(table["expected"].to_numpy() - first["expected"].to_numpy()).max() > 0.001


def test_each_training_is_patched_at_the_questions_of_the_first(seeds_context: Run) -> None:
    """Unpatched readouts are those of the stages that read base model and training."""
    first, second = (seeds_context.stage(name).table("sweep") for name in ("patch", PATCH))
    assert set(second["condition"]) == set(SWEPT)
    assert sorted(set(second["row"])) == sorted(set(first["row"]))
    before, after = (
        seeds_context.stage(name).table("confidence").set_index("row")["expected"]
        for name in ("elicit", ELICIT)
    )
    own = second[second["condition"] == "own_tuned"]
    assert own["base"].to_numpy() == pytest.approx(before.loc[own["row"]].to_numpy(), abs=1e-6)
    assert own["donor"].to_numpy() == pytest.approx(after.loc[own["row"]].to_numpy(), abs=1e-6)
    last = own[own["layer"] == own["layer"].max()]
    assert last["patched"].to_numpy() == pytest.approx(last["donor"].to_numpy(), abs=1e-6)
    pairs = [
        part[part["condition"] == "other_tuned"].drop_duplicates("item").set_index("item")["base"]
        for part in (first, second)
    ]
    assert pairs[0].to_numpy() == pytest.approx(pairs[1].to_numpy(), abs=1e-6)
