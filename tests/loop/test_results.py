from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.loop.patching_results import patching_result, sweeps
from workbench.loop.results import STAGES_OF, collect, loop_results
from workbench.loop.run import Run
from workbench.measure import Bootstrap, auroc2, auroc2_within, confidence_metrics
from workbench.patch.effects import (
    Sweep,
    clipped_mean_shift,
    following,
    layer_gradient,
    mean_shift,
    permutation_p,
)

WHEN = [one.name for one in STAGES_OF]


@pytest.fixture(scope="module")
def held_out(context: Run) -> pd.DataFrame:
    return context.stage("report").table("held_out")


def table_of(**conditions: tuple[list[float], list[float], list[list[float]]]) -> pd.DataFrame:
    """A sweep table over layers 2 and 5 from base [items], donor [items] and patched
    [items][layers], rows shuffled.
    """
    rows = [
        {
            "condition": name,
            "item": i,
            "row": 10 + i,
            "layer": layer,
            "base": base[i],
            "donor": donor[i],
            "patched": p,
        }
        for name, (base, donor, patched) in conditions.items()
        for i, line in enumerate(patched)
        for layer, p in zip((2, 5), line, strict=True)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


def test_a_table_becomes_one_sweep_a_condition() -> None:
    found = sweeps(
        table_of(
            own_tuned=([0.1, 0.2, 0.3], [0.5, 0.6, 0.9], [[0.1, 0.5], [0.3, 0.6], [0.3, 0.8]]),
            own_base=([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]),
        )
    )
    assert set(found) == {"own_tuned", "own_base"}
    own = found["own_tuned"]
    assert own.layers.tolist() == [2, 5]
    assert own.base.tolist() == [0.1, 0.2, 0.3]
    assert own.donor.tolist() == [0.5, 0.6, 0.9]
    assert own.patched.tolist() == [[0.1, 0.5], [0.3, 0.6], [0.3, 0.8]]


def test_donors_without_a_distance_are_measured_in_the_own_donors() -> None:
    """Own: mean distance 0.4. The base states move by 0.04 and 0.1 on average; their own
    distances would be 0 and 0.
    """
    base, donor = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    result = patching_result(
        table_of(
            own_tuned=(base, donor, [[0.1, 0.5], [0.2, 0.6], [0.3, 0.7]]),
            other_tuned=(base, [0.7, 0.5, 0.6], [[0.1, 0.7], [0.2, 0.5], [0.3, 0.6]]),
            own_base=(base, base, [[0.14, 0.1], [0.24, 0.2], [0.34, 0.3]]),
            other_base=(base, [0.3, 0.1, 0.2], [[0.2, 0.1], [0.3, 0.2], [0.4, 0.3]]),
        ),
        Bootstrap(100, 0),
    )
    assert result.shift["own_tuned"].value == pytest.approx([0, 1])
    assert result.shift["own_base"].value == pytest.approx([0.1, 0])
    assert result.shift["other_base"].value == pytest.approx([0.25, 0])
    assert result.donor_slope.value == pytest.approx([0, 1], abs=1e-9)
    assert result.base_slope.value == pytest.approx([1, 0], abs=1e-9)
    assert result.half_layer == 5
    assert (result.layer_gradient.value, result.layer_gradient.n) == (pytest.approx(1), 3)


def test_readouts_are_lined_up_by_question(context: Run, held_out: pd.DataFrame) -> None:
    readouts = collect(context)
    test = context.stage("questions").table("questions").query("split == 'test'")
    assert readouts.questions["id"].tolist() == test["id"].tolist()
    assert readouts.correct.tolist() == ["upper" in name for name in test["id"]]
    for when, stage in STAGES_OF.items():
        table = context.stage(stage).table("confidence").set_index("row").loc[test["row"]]
        assert np.array_equal(readouts.expected[when], table["expected"])
        assert np.array_equal(readouts.stated[when], table["stated"], equal_nan=True)
        assert np.array_equal(held_out[f"expected_{when.name}"], table["expected"])
    assert [one.name for one in readouts.probe] == ["before", "after"]


def test_discrimination_in_the_summary_is_that_of_the_held_out_table(
    finished_run: Any, held_out: pd.DataFrame
) -> None:
    summary, correct, domain = finished_run.summary, held_out["correct"], held_out["domain"]
    columns = {
        **{f"stated{{}}.{when}": f"stated_{when}" for when in WHEN},
        **{f"expected{{}}.{when}": f"expected_{when}" for when in WHEN},
        "probe{}.before": "probe_before",
        "probe{}.after": "probe_after",
    }
    for key, column in columns.items():
        pooled, within = "auroc2." + key.format(""), "auroc2." + key.format(".within")
        assert summary[pooled] == pytest.approx(auroc2(held_out[column], correct))
        assert summary[within] == pytest.approx(auroc2_within(held_out[column], correct, domain))
        for name in (pooled, within):
            assert summary[f"{name}.low"] <= summary[name] <= summary[f"{name}.high"]


def test_gains_compare_questions_parsed_both_times(
    finished_run: Any, held_out: pd.DataFrame
) -> None:
    for when in ("after", "control"):
        both = held_out.dropna(subset=["stated_before", f"stated_{when}"])
        gain = auroc2(both[f"stated_{when}"], both["correct"]) - auroc2(
            both["stated_before"], both["correct"]
        )
        assert finished_run.summary[f"gain.auroc2.stated.{when}"] == pytest.approx(gain)
    before, after = (
        auroc2(held_out[f"expected_{when}"], held_out["correct"]) for when in ("before", "after")
    )
    assert finished_run.summary["gain.auroc2.expected.after"] == pytest.approx(after - before)


def test_accuracy_and_unchanged_answers_are_counted(context: Run, finished_run: Any) -> None:
    """An adapter on the reply alone cannot touch an answer, so none is generated with it on."""
    test = context.stage("questions").table("questions").query("split == 'test'")["row"]
    before = context.stage("answer").table("answers").set_index("row").loc[test]
    off = context.stage("elicit_tuned").table("answers")
    summary = finished_run.summary
    assert summary["answers.repeated.after"] == len(off) > 0
    assert summary["answers.unchanged.after"] == 1
    assert (
        summary["accuracy.before"]
        == summary["accuracy.after"]
        == pytest.approx(before["correct"].mean())
    )
    assert summary["answers.adapter_on_rows.after"] == 0
    assert summary["answers.unchanged_adapter_on.after"] is None
    assert "accuracy.adapter_on_while_answering.after" not in summary


def test_an_adapter_on_the_conversation_is_seen_in_the_answers(
    conversation_context: Run, conversation_run: Any
) -> None:
    base = conversation_context.stage("answer").table("answers").set_index("row")
    on = conversation_context.stage("elicit_tuned").table("answers_adapter_on").set_index("row")
    unchanged = (base["answer"].loc[on.index] == on["answer"]).mean()
    summary = conversation_run.summary
    assert summary["answers.unchanged.after"] == 1
    assert summary["accuracy.before"] == summary["accuracy.after"]
    assert summary["accuracy.adapter_on_while_answering.after"] == pytest.approx(
        on["correct"].mean()
    )
    assert summary["answers.unchanged_adapter_on.after"] == pytest.approx(unchanged)
    assert summary["answers.adapter_on_rows.after"] == len(on)
    assert unchanged < 1


def test_calibration_and_format_failures_are_those_of_the_metrics(
    finished_run: Any, held_out: pd.DataFrame
) -> None:
    summary = finished_run.summary
    for when in WHEN:
        stated = held_out[f"stated_{when}"]
        metrics: dict[str, Any] = confidence_metrics(
            stated, held_out["correct"], held_out["domain"], seed=0, resamples=200
        )
        for name in ("ece", "smooth_ece", "brier"):
            assert summary[f"{name}.stated.{when}"] == pytest.approx(metrics[name].value)
        assert summary[f"tier.stated.{when}"] == metrics["scale.tier"]
        assert summary[f"parse_rate.stated.{when}"] == pytest.approx(stated.notna().mean())
        assert summary[f"share_ge_90.stated.{when}"] == pytest.approx(
            (stated.dropna() >= 0.9).mean()
        )
        assert summary[f"parse_rate.expected.{when}"] == 1


def test_patching_in_the_summary_is_that_of_the_sweep_table(
    context: Run, finished_run: Any
) -> None:
    summary = finished_run.summary
    by_name: dict[str, Sweep] = sweeps(context.stage("patch").table("sweep"))
    own, drawn = by_name["own_tuned"], {"resamples": 200, "seed": 0}
    shift = mean_shift(own, **drawn)
    assert summary["patching.shift.largest"] == pytest.approx(shift.value.max())
    assert summary["patching.shift.last_layer"] == pytest.approx(shift.value[-1])
    assert summary["patching.shift.clipped.last_layer"] == pytest.approx(
        clipped_mean_shift(own)[-1]
    )
    moved = by_name["random_position"].patched - by_name["random_position"].base[:, None]
    random = np.abs(moved.mean(axis=0) / (own.donor - own.base).mean()).mean()
    assert summary["patching.shift.random_position"] == pytest.approx(random)
    assert summary["patching.layer_gradient"] == pytest.approx(layer_gradient(own).value)
    # It has no interval: NaN is null in a file of JSON.
    assert summary["patching.layer_gradient.low"] is None
    assert summary["patching.layer_gradient.high"] is None
    probability = permutation_p(own.layers, shift.value, permutations=9999, seed=0)
    assert summary["patching.layer_gradient.permutation_p"] == pytest.approx(probability)
    donor, base = following(by_name["other_tuned"], **drawn)
    assert summary["patching.donor_slope.last_layer"] == pytest.approx(donor.value[-1])
    assert summary["patching.base_slope.last_layer"] == pytest.approx(base.value[-1])
    reverse = by_name["reverse"]
    moved_back = (reverse.patched[:, -1] - reverse.base).mean() / (
        reverse.donor - reverse.base
    ).mean()
    assert summary["patching.shift.reverse.last_layer"] == pytest.approx(moved_back)


def test_summarising_again_gives_the_saved_summary(context: Run, finished_run: Any) -> None:
    summary = loop_results(context).summary()
    saved = {key: finished_run.summary[key] for key in summary}
    unknown = {
        key for key, value in summary.items() if isinstance(value, float) and np.isnan(value)
    }
    assert {key: None if key in unknown else value for key, value in summary.items()} == saved
    assert set(finished_run.summary) - set(summary) == {
        key for key in finished_run.summary if key.startswith(("seconds.", "memory."))
    }
