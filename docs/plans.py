"""Write the plans of large models into ``docs/guide/scale.md``, between its two marks.

    python docs/plans.py

They come from ``workbench plan`` itself, with the default model's tokenizer; a test compares them
with what is tracked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Another checkout may be the one installed: the plans are of the package next to this file.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workbench.config import RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.plan.machine import parse_machine
from workbench.plan.plan import Plan, make_plan
from workbench.plan.questions import PlannedQuestions, plan_questions
from workbench.plan.rows import duration, gigabytes
from workbench.plan.stage_plans import StagePlan

GUIDE = Path(__file__).parent / "guide" / "scale.md"
BEGIN, END = "<!-- plans: begin, written by docs/plans.py -->", "<!-- plans: end -->"
MODELS = ("llama-3.1-70b", "qwen2.5-72b", "gemma-3-27b", "llama-3.1-405b")
QUESTIONS = 580


class Case(NamedTuple):
    """A machine and how a model is put on it."""

    title: str
    devices: str
    placement: str
    settings: tuple[tuple[str, str], ...] = ()


PLAIN = (("model.dtype", "bfloat16"), ("model.precision", "float32"))
CASES = (
    Case("one 24 GB card and a disk", "1x24GB,cpu=64GB,disk=5GB/s", "stream", PLAIN),
    Case("one 80 GB card at 4 bit", "1x80GB,cpu=256GB", "device", (("model.quantize", "nf4"),)),
    Case("8 x 80 GB, layers spread", "8x80GB,cpu=1000GB", "auto"),
    Case("8 x 80 GB, layers split", "8x80GB,cpu=1000GB", "tensor"),
    Case("NDIF", "cpu=16GB,cores=4", "ndif", PLAIN),
    Case("a laptop overnight", "cpu=32GB,cores=8,disk=3GB/s", "stream", PLAIN),
)


def settings_of(model: str, case: Case) -> RunConfig:
    """Return the settings of a model in a case."""
    return load_config(None, {"model.name": model, **dict(case.settings)})


def row_of(model: str, case: Case, asked: PlannedQuestions) -> list[str]:
    """Return the cells of a case: what it takes, or why it does not fit."""
    try:
        plan = make_plan(
            settings_of(model, case),
            parse_machine(case.devices),
            placement=case.placement,
            bottleneck=False,
            asked=asked,
        )
    except WorkbenchError as error:
        why, _, mends = str(error).partition(": it ")[2].rstrip(".").partition(". What would: ")
        return [case.title, f"no, {why}; try `{mends.split(';')[0]}`", "", "", "", ""]
    placed = plan.chosen
    passes, tokens = (sum(map(count, _done(plan))) for count in (_passes, _tokens))
    known = placed.total_seconds
    return [
        case.title,
        "yes",
        gigabytes(placed.device_bytes) if placed.devices else "–",
        gigabytes(placed.main_bytes),
        f"{passes:,} of {tokens / 1e3:,.0f} thousand tokens",
        "not known" if known is None else duration(known),
    ]


def _done(plan: Plan) -> list[StagePlan]:
    return [stage for stage in plan.stages if stage.name not in plan.chosen.refused]


def _passes(stage: StagePlan) -> int:
    return len(stage.forwards)


def _tokens(stage: StagePlan) -> float:
    return stage.tokens


def command_of(model: str, case: Case) -> str:
    """Return the command that plans a case."""
    sets = "".join(f" --set {key}={value}" for key, value in case.settings)
    return (
        f"workbench plan {model} --questions {QUESTIONS} --devices {case.devices} "
        f"--placement {case.placement} --no-bottleneck{sets}"
    )


def section() -> str:
    """Return the plans as Markdown."""
    asked = plan_questions(settings_of(MODELS[0], CASES[0]), QUESTIONS)
    return "\n\n".join(_parts(asked))


def _parts(asked: PlannedQuestions) -> Iterator[str]:
    head = ["on", "fits", "each device", "main memory", "passes", "time"]
    for model in MODELS:
        lines = [head, ["---"] * len(head), *(row_of(model, case, asked) for case in CASES)]
        yield f"**{model}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
    yield "The commands, for another model with its name:"
    yield "\n".join(f"    {command_of(MODELS[0], case)}" for case in CASES)


def with_section(text: str, plans: str) -> str:
    """Return the guide with its plans replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{plans}\n\n{END}{after}"


if __name__ == "__main__":
    GUIDE.write_text(with_section(GUIDE.read_text(encoding="utf-8"), section()), encoding="utf-8")
