from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.loop.questions import drawn_questions
from workbench.plan.forwards import whole_forward
from workbench.plan.machine import parse_machine
from workbench.plan.memory import cache_bytes, recorded_states_size, working_bytes
from workbench.plan.number_formats import NumberFormats
from workbench.plan.placements import Placed
from workbench.plan.plan import Plan, make_plan
from workbench.plan.prefix_bytes import PrefixBytes
from workbench.plan.questions import plan_questions
from workbench.plan.rows import (
    assumptions,
    duration,
    gigabytes,
    placement_rows,
    plan_values,
    stage_rows,
)
from workbench.plan.shape import decoder_shape


@pytest.fixture(scope="module")
def config(tiny_folder: Path) -> RunConfig:
    return load_config(
        None, {"model.name": str(tiny_folder), "teach.lora.target_modules": ["q_proj", "v_proj"]}
    )


@pytest.fixture(scope="module")
def plan(config: RunConfig) -> Plan:
    return make_plan(config, parse_machine("2x24GB,cpu=64GB"), count=100)


def placed(plan: Plan, name: str) -> Placed:
    return next(each for each in plan.placed if each.name == name)


def test_every_stage_with_work_has_its_line(plan: Plan) -> None:
    names = [stage.name for stage in plan.stages]
    assert names[:5] == ["answer", "elicit", "probe", "teach", "teach_control"]
    assert "bottleneck_lens_before" in names
    rows = {row["stage"]: row for row in stage_rows(plan)}
    assert rows["probe"]["passes"] == "0"
    assert rows["teach"]["passes"] == f"{len(plan.stages[3].forwards):,}"
    assert rows["bottleneck_lens_before"]["tokens"].endswith("(about)")
    assert "not done" not in {row["time"] for row in rows.values()}
    assert len(placement_rows(plan)) == 5
    assert any("half of the tokens" in sentence for sentence in assumptions(plan))
    json.dumps(plan_values(plan), allow_nan=False)


def test_answers_are_drawn_out_to_half_of_their_limit(config: RunConfig) -> None:
    few = config.questions.model_copy(update={"limit": 40})
    config, found = config.model_copy(update={"questions": few}), {}
    for limit in (0, 16):
        elicit = config.elicit.model_copy(update={"answer_tokens": limit})
        found[limit] = plan_questions(config.model_copy(update={"elicit": elicit}))
    count, word = found[0].tokenizer, len(found[0].tokenizer(" so").input_ids)
    own = [len(count(question.answers[0]).input_ids) for question in drawn_questions(config)[0]]
    assert min(own) < 8 < max(own)
    for one, other, had, written in zip(
        found[16].conversations, found[0].conversations, own, found[16].answered, strict=True
    ):
        has = had + len(one.tokens) - len(other.tokens)
        assert has == had if had >= 8 else 8 <= has < 8 + word
        assert written == min(16, has + 1)


def test_what_a_placement_cannot_do_is_said(plan: Plan) -> None:
    assert plan.chosen.name == "device"
    streamed = placed(plan, "stream")
    assert not streamed.why_not
    gradients = {stage.name for stage in plan.stages if stage.differentiates}
    assert {*streamed.refused} == gradients
    assert not {"answer", "teach", "patch"} & gradients
    layer = plan.formats.layer(plan.shape)
    reads = plan.stages[0].reads
    assert streamed.read_bytes["answer"] == pytest.approx(layer * sum(reads))
    remote = placed(plan, "ndif")
    assert remote.total_seconds is None
    assert {"teach", "elicit_tuned", "patch"} <= {*remote.refused}


def test_a_stream_holds_the_trained_layers_or_reads_them_twice_each_step(plan: Plan) -> None:
    layer, total = plan.formats.layer(plan.shape), plan.shape.layers
    taught = next(stage for stage in plan.stages if stage.name == "teach")
    steps = [each.layers for each in taught.forwards if each.backward]
    upper = max(steps)
    assert upper < total
    assert placed(plan, "stream").read_bytes["teach"] == pytest.approx(layer * total)
    tight = make_plan(
        plan.config.model_copy(
            update={"teach": plan.config.teach.model_copy(update={"resident_bytes": 1})}
        ),
        plan.machine,
        count=plan.questions,
        bottleneck=False,
    )
    read = placed(tight, "stream").read_bytes["teach"]
    assert read == pytest.approx(layer * (total - upper + 2 * upper * len(steps)))


def test_a_stream_reads_layers_as_often_as_the_longest_batch_passes(plan: Plan) -> None:
    answer = plan.stages[0]
    longest = max(1, len(answer.forwards) // answer.batches)
    assert longest <= len(answer.reads) <= len(answer.forwards)


def test_what_does_not_fit_is_refused_with_what_would(config: RunConfig) -> None:
    large = load_config(None, {"model.name": "llama-3.1-70b"})
    machine = parse_machine("1x80GB,cpu=300GB")
    with pytest.raises(WorkbenchError, match="--quantize nf4 --placement device") as caught:
        make_plan(large, machine, count=100, placement="device", bottleneck=False)
    assert "4xA100 --placement auto" in str(caught.value)
    assert "--placement stream" in str(caught.value)
    with pytest.raises(WorkbenchError, match="there is one"):
        make_plan(config, machine, count=100, placement="auto", bottleneck=False)


def test_memory_of_a_pass_by_hand() -> None:
    """2 x 10 columns of llama-3.1-8b in bfloat16 after 6 kept ones: keys and values of 32 layers,
    8 heads of 128, twice 2 bytes a token for the 16 columns of 2 rows, and three times their logits.
    """
    shape = decoder_shape("llama-3.1-8b")
    formats = NumberFormats.of(load_config(None, {}).model, False)
    one = whole_forward("", 32, 2, 10, kept=6, logits=2)
    of_token = 32 * 2 * 8 * 128 * 2
    assert formats.of_token(shape) == of_token
    assert cache_bytes(one, of_token, of_token) == 2 * 16 * of_token
    states = 20 * (5 * 4096 + 3 * 14_336) * 2
    masks = 20 * 16 * 3
    assert working_bytes(one, shape, formats) == states + masks + 3 * 4 * 2 * 128_256


def test_a_growing_cache_of_rounded_weights_is_in_float32() -> None:
    """Kept keys and values take 2 bytes an entry, those of a batch that goes on 4: 2 rows of 16
    columns that it holds, or of 20 kept ones that it reads.
    """
    shape = decoder_shape("llama-3.1-8b")
    model = load_config(None, {"model.dtype": "float32", "model.precision": "bfloat16"}).model
    formats = NumberFormats.of(model, True)
    tokens = formats.of_token(shape), formats.of_open_token(shape)
    assert tokens == (32 * 2 * 8 * 128 * 2, 32 * 2 * 8 * 128 * 4)
    held = whole_forward("", 32, 2, 10, kept=6, held=16)
    assert cache_bytes(held, *tokens) == 2 * 16 * tokens[1]
    read = whole_forward("", 32, 2, 10, kept=10)
    assert cache_bytes(read, *tokens) == 2 * 20 * tokens[0]


def test_rounded_matrices_grow_where_sweep_and_loop_are_compared_in_float32(
    tiny_folder: Path,
) -> None:
    names = {"model.name": str(tiny_folder), "model.dtype": "float32"}
    weights = {}
    for precision in ("float32", "bfloat16"):
        config = load_config(None, {**names, "model.precision": precision})
        plan = make_plan(config, parse_machine("cpu=64GB"), count=100, bottleneck=False)
        stages = {stage.name: stage.memory.weights for stage in plan.stages}
        weights[precision] = stages["patch"] - stages["elicit"]
    assert weights == {"float32": 0.0, "bfloat16": 2.0 * plan.shape.linear}


def test_logits_of_ends_are_made_at_once_and_those_of_many_places_in_chunks() -> None:
    """Of 128,256 tokens 49 rows fit into a chunk: 60 ends of 60 rows are not cut, 120 places of two
    rows are.
    """
    shape = decoder_shape("llama-3.1-8b")
    formats = NumberFormats.of(load_config(None, {}).model, False)

    def logits(rows: int, places: int) -> float:
        with_them, without = (
            working_bytes(whole_forward("", 32, rows, 1, logits=count), shape, formats)
            for count in (places, 0)
        )
        return (with_them - without) / (3 * 4 * 128_256)

    assert (logits(60, 60), logits(2, 120)) == (60, 49)


def test_states_beyond_their_bound_go_to_the_disk() -> None:
    shape = decoder_shape("llama-3.1-8b")
    entries = 10 * 32 * 4 * 4096
    assert recorded_states_size(10, shape, 4, 4 * entries, 2) == (4.0 * entries, 0.0)
    assert recorded_states_size(10, shape, 4, 4 * entries - 1, 2) == (0.0, 2.0 * entries)


def test_a_full_cache_takes_no_further_row() -> None:
    """10 bytes a token, 3 tokens shared: rows of 5 tokens take 20 bytes each, and 30 are shared."""
    first = PrefixBytes(100, 10, 3)
    assert first.begin() == 3
    assert first.begin() == 0
    first.keep([0, 1, 2, 3, 4], [5, 5, 5, 5, 4])
    assert sorted(first.rows) == [0, 1, 2]
    assert first.full
    second = PrefixBytes(100, 10, 0, first)
    second.keep([7], [2])
    assert second.full
    first.drop([0, 1])
    assert first.held == 50
    assert first.missing([1, 2], [5, 6], 100) == [[5]]
    assert first.largest == 90


def test_what_a_row_took_is_not_counted_once_another_cache_has_it() -> None:
    """Three rows of 20 bytes move to a cache where they take 30: 90 are the most, not 150."""
    first = PrefixBytes(1000, 10, 0)
    second = PrefixBytes(1000, 10, 0, first)
    first.keep([0, 1, 2], [2, 2, 2])
    first.largest = second.largest = 0
    for row in range(3):
        first.drop([row])
        second.keep([row], [3])
    assert (first.held, second.held) == (0, 90)
    assert max(first.largest, second.largest) == 90


def test_words() -> None:
    assert [gigabytes(each) for each in (0, 1e6, 2.5e9, 40e9)] == [
        "–", "<0.01 GB", "2.50 GB", "40 GB",
    ]  # fmt: skip
    assert [duration(each) for each in (3, 600, 36_000)] == ["3 s", "10 min", "10 h"]
