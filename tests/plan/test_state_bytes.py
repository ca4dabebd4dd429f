"""States by hand, and what is held of them in a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import load_config
from workbench.models.kernel_caches import KERNEL_BYTES, KERNELS
from workbench.plan.machine import parse_machine
from workbench.plan.memory import PROCESS_BYTES, peak_pass
from workbench.plan.number_formats import NumberFormats
from workbench.plan.plan import make_plan
from workbench.plan.state_bytes import held_states

LOOP = ("elicit", "probe", "teach", "elicit_tuned", "probe_tuned")


def held(name: str, of_pass: float = 0.0) -> float:
    return held_states(name, 100.0, of_pass, LOOP, 7.0)


def test_states_are_held_where_they_are_used_and_not_between() -> None:
    assert held("teach") == 0.0
    assert held("probe") == held("probe_tuned") == 207.0
    assert held("a stage after the loop") == 100.0
    assert held_states("probe", 0.0, 0.0, LOOP, 7.0) == 7.0


def test_parts_are_put_together_after_the_passes() -> None:
    """Three copies without a pass, or one beside the largest pass, whichever is more; a tuned
    model's are beside the base model's.
    """
    assert [held("elicit", of_pass) + of_pass for of_pass in (0.0, 150.0, 300.0)] == [
        300.0, 300.0, 400.0,
    ]  # fmt: skip
    assert held("elicit_tuned") == held("elicit") + 100.0


def test_a_plan_counts_the_process_and_what_probes_take(tiny_folder: Path) -> None:
    config = load_config(None, {"model.name": str(tiny_folder)})
    plan = make_plan(config, parse_machine("1x24GB,cpu=64GB"), count=100, bottleneck=False)
    stages = {stage.name: stage for stage in plan.stages}
    states = {name: stage.memory.states for name, stage in stages.items()}
    assert states["probe"] == states["probe_tuned"] > 0 == states["patch"]
    elicit = stages["elicit"]
    of_pass = sum(peak_pass(elicit.forwards, plan.shape, plan.formats))
    whole = 4.0 * 100 * plan.shape.layers * plan.shape.width * 4
    assert states["elicit"] == pytest.approx(max(whole, 3 * whole - of_pass))
    memory = elicit.memory
    assert memory.main == memory.kept + memory.states + PROCESS_BYTES


def test_kernels_of_a_processors_products_in_bfloat16_are_counted() -> None:
    settings = load_config(None, {"model.dtype": "float32"}).model
    rounded = settings.model_copy(update={"precision": "bfloat16"})
    plain = settings.model_copy(update={"precision": "float32"})
    assert NumberFormats.of(rounded, True).kernels == KERNELS * KERNEL_BYTES
    assert NumberFormats.of(rounded, False).kernels == NumberFormats.of(plain, True).kernels == 0
