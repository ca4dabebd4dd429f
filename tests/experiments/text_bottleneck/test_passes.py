"""How often the weights are read where nothing is taught, as the guide says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from workbench.elicit.confidence_table import reading_batches
from workbench.experiments.finished_run import open_or_make_probed_run
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop.confidence import confidence_conversations
from workbench.pipeline import stages
from workbench.pipeline.stages import STRICT

STATED = 6


@pytest.fixture
def passes_of(
    loop_inputs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[Counter[str], int]]:
    """The passes through the first layer, by stage, with so many tokens a forward; and in how many
    batches confidence is read.
    """

    def count(tokens: int) -> tuple[Counter[str], int]:
        found: Counter[str] = Counter()
        within = ""
        done = stages.do_stage

        def counted(stage: Any, *others: Any) -> None:
            nonlocal within
            within = stage.name
            done(stage, *others)
            within = "between"

        def see(module: Any, _: Any) -> None:
            if type(module).__name__ == "LlamaDecoderLayer" and module.self_attn.layer_idx == 0:
                found[within] += 1

        monkeypatch.setattr(stages, "do_stage", counted)
        model = loop_inputs.config.model.model_copy(update={"tokens_per_forward": tokens})
        config = loop_inputs.config.model_copy(update={"model": model})
        place = tmp_path / str(tokens)
        hook = register_module_forward_pre_hook(see)
        try:
            untaught = BottleneckParameters(teaching=False, ceiling=False)
            run_bottleneck(config, place / "run", untaught, figures=place / "figures")
        finally:
            hook.remove()
        run = open_or_make_probed_run(None, place / "run", place / "figures", STRICT)
        lengths = [len(each.tokens) for each in confidence_conversations(run)]
        return found, len(reading_batches(lengths, run.scale_tokens, tokens))

    return count


def test_the_weights_are_read_as_often_as_the_guide_says(
    passes_of: Callable[[int], tuple[Counter[str], int]], loop_inputs: Any
) -> None:
    answered = loop_inputs.config.elicit.answer_tokens
    whole, batches = passes_of(10**6)
    assert batches == 1
    assert 1 < whole["answer"] <= 1 + answered
    assert 1 < whole["elicit"] <= 1 + STATED
    assert whole["bottleneck_lens_before"] == 6
    assert whole["bottleneck_interventions_before"] == 11
    assert whole["bottleneck_geometry_before"] == 2
    assert not {"questions", "probe", "bottleneck_steps_before"} & set(whole)
    more, batches = passes_of(6_000)
    assert batches > 2
    assert batches < more["elicit"] <= batches * (1 + STATED)
    assert more["bottleneck_lens_before"] > 6
