from __future__ import annotations

import math
import sys
from collections.abc import Callable

import pytest
import torch

from tests.support.recorded_vllm import RecordedVllm
from tests.support.tiny_models import VOCABULARY
from workbench.elicit.answer import greedy_tokens
from workbench.elicit.bulk import agreement as module
from workbench.elicit.bulk.agreement import Agreement, CheckedEngine, compare
from workbench.elicit.bulk.vllm_engine import VllmEngine
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

PROMPTS = [[number, number + 1, number + 2] for number in range(5, 45)]
LIMIT = 6


@pytest.fixture(autouse=True)
def vllm(tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", RecordedVllm(tiny_lm).module())


def own(lm: LanguageModel) -> list[list[int]]:
    return greedy_tokens(lm, PROMPTS, LIMIT, torch.zeros(VOCABULARY, dtype=torch.bool))[0]


def test_equal_texts_agree(tiny_lm: LanguageModel) -> None:
    found = compare(tiny_lm, PROMPTS, own(tiny_lm), LIMIT, [], 1000)
    assert found == Agreement(40, 0, 0, 0.0)
    assert found.share == 1.0


def test_texts_that_part_are_ties_or_wrong_by_the_exact_paths_log_probabilities(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gap at the first difference, by a plain pass of the model."""
    texts = own(tiny_lm)
    at, row = 3, 7
    logits = tiny_lm.base()(input_ids=torch.tensor([[*PROMPTS[row], *texts[row][:at]]])).logits[
        0, -1
    ]
    second = int(logits.topk(2).indices[1])
    gap = float(logits.max() - logits[second])
    theirs = [*texts[row][:at], second, 99, 99]
    changed = [*texts[:row], theirs, *texts[row + 1 :]]
    found = compare(tiny_lm, PROMPTS, changed, LIMIT, [], 1000)
    assert (found.ties, found.wrong) == (0, 1)
    assert found.largest == pytest.approx(gap, abs=1e-4)
    assert found.share == pytest.approx(39 / 40)
    monkeypatch.setitem(module.TIE, torch.float32, gap + 1e-3)
    assert compare(tiny_lm, PROMPTS, changed, LIMIT, [], 1000).ties == 1


def test_a_text_that_ends_early_is_wrong(tiny_lm: LanguageModel) -> None:
    texts = own(tiny_lm)
    found = compare(tiny_lm, PROMPTS, [texts[0][:2], *texts[1:]], LIMIT, [], 1000)
    assert (found.wrong, found.largest) == (1, math.inf)


def checked(lm: LanguageModel, engine: RecordedVllm, threshold: float) -> CheckedEngine:
    return CheckedEngine(lm, VllmEngine(engine), "vLLM", 32, threshold, 1000)


def test_an_engine_is_compared_once_on_rows_spread_over_all(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    whole = module.compare

    def noting(lm: LanguageModel, prompts: list[list[int]], *args: object) -> Agreement:
        seen.append(len(prompts))
        return whole(lm, prompts, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compare", noting)
    engine = checked(tiny_lm, RecordedVllm(tiny_lm), 1.0)
    engine.write(PROMPTS, LIMIT, [2])
    engine.write(PROMPTS, LIMIT, [2])
    drawn = engine.sample(PROMPTS[:2], 3, [2], samples=2, temperature=1.0, top_p=1.0, seeds=[1, 2])
    assert [len(texts) for texts in drawn] == [2, 2]
    assert seen == [32]


def test_another_checkpoint_is_refused_with_the_rows_counted(
    make_tiny: Callable[..., LanguageModel], tiny_lm: LanguageModel
) -> None:
    other = make_tiny("llama", seed=1)
    with pytest.raises(
        WorkbenchError, match=r"of 32 prompts 0 got the exact path's text.*32 .*95%"
    ):
        checked(tiny_lm, RecordedVllm(other), 0.95).write(PROMPTS, LIMIT, [2])
    with pytest.raises(WorkbenchError, match=r"set elicit\.engine=exact"):
        checked(tiny_lm, RecordedVllm(other), 0.95).sample(
            PROMPTS, 3, [2], samples=2, temperature=1.0, top_p=1.0, seeds=[1] * 40
        )
    checked(tiny_lm, RecordedVllm(other), 0.0).write(PROMPTS[:4], LIMIT, [2])


def test_noise_of_another_kernel_is_taken_for_ties(tiny_lm: LanguageModel) -> None:
    draw = torch.Generator().manual_seed(0)

    def noisy(logits: torch.Tensor) -> torch.Tensor:
        return logits + 1e-5 * torch.randn(logits.shape, generator=draw)

    engine = checked(tiny_lm, RecordedVllm(tiny_lm, change=noisy), 1.0)
    engine.write(PROMPTS, LIMIT, [2])
    assert engine.agreement is not None
    assert engine.agreement.wrong == 0
