from __future__ import annotations

import time

import pytest

from tests.support.runs import LoopInputs
from workbench.bench import plan as bench
from workbench.bench.plan import bench_plan, table_rows
from workbench.plan.memory import PROCESS_BYTES


def test_a_plan_stands_beside_what_was_counted(
    loop_inputs: LoopInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passes of the finished run are the counted ones to the token where texts are the tokenizer's
    own; the tiny model states some confidences in other tokens, of which there are few.
    """
    clocks = []
    times = bench.time_layers

    def noted(*args: object, **options: object) -> object:
        clocks.append(args[2])
        return times(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "time_layers", noted)
    found = bench_plan(loop_inputs.config, "teach")
    assert clocks == [time.process_time]
    for stage in ("answer", "teach"):
        assert found[f"{stage}.passes"] == found[f"{stage}.exact.passes"] > 0
        assert found[f"{stage}.tokens"] == found[f"{stage}.exact.tokens"] > 0
    assert found["elicit.exact.tokens"] == pytest.approx(found["elicit.tokens"], rel=0.01)
    assert found["answer.planned.tokens"] == pytest.approx(found["answer.tokens"], rel=0.1)
    assert "teach_control.passes" not in found
    stages = ("answer", "elicit", "probe", "teach")
    for total, part in (("processor", "processor_seconds"), ("planned", "planned.seconds")):
        own = sum(found[f"{stage}.{part}"] for stage in stages)
        key = "total.processor_seconds" if total == "processor" else "total.planned.seconds"
        assert found[key] == pytest.approx(own)
    # A stage's largest memory is its own, not an earlier stage's, and the run's is the largest.
    own = {key: value for key, value in found.items() if key.endswith(".memory")}
    largest = {key: value for key, value in own.items() if not key.endswith("planned.memory")}
    assert {f"{stage}.memory" for stage in stages} <= {*largest}
    assert found["memory.peak"] == max(largest.values())
    assert len({found[f"{stage}.memory"] for stage in stages}) > 1
    assert found["memory.libraries"] > 4 * found["teach.planned.memory"] > 4 * PROCESS_BYTES
    rows = table_rows(found)
    assert [row["stage"] for row in rows] == list(stages)
    assert rows[2]["passes (planned / of what was written / counted)"] == "0 / 0 / 0"


def test_the_first_stages_alone_are_compared_with_the_plan_before(loop_inputs: LoopInputs) -> None:
    few = loop_inputs.config.questions.model_copy(update={"limit": 110})
    found = bench_plan(loop_inputs.config.model_copy(update={"questions": few}), "answer")
    assert [row["stage"] for row in table_rows(found)] == ["answer"]
    assert found["answer.exact.passes"] == 0 < found["answer.passes"]
