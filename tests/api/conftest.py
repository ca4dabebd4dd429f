from __future__ import annotations

from typing import Any

import pytest

from tests.support.runs import ANSWER_TOKENS
from workbench.api.confidence import Asked, ask
from workbench.api.probes import Probes, fit_probes
from workbench.config import ProbeConfig
from workbench.elicit.answer import Limits
from workbench.loading import load_model
from workbench.models import LanguageModel
from workbench.questions import read_questions


@pytest.fixture(scope="session")
def writer(loop_inputs: Any) -> LanguageModel:
    """The tiny model that writes numbers, in float32; not to be changed."""
    return load_model(str(loop_inputs.model), device="cpu", precision="float32")


@pytest.fixture(scope="session")
def asked(writer: LanguageModel, loop_inputs: Any) -> Asked:
    """132 questions, half of them answered rightly."""
    questions = read_questions(loop_inputs.questions)
    return ask(writer, questions, limits=Limits(answer=ANSWER_TOKENS), train_fraction=0.5)


@pytest.fixture(scope="session")
def probes(asked: Asked) -> Probes:
    settings = ProbeConfig(folds=3, inner_folds=2, inverse_penalties=(0.01, 0.1), shuffles=2)
    return fit_probes(asked, settings=settings, resamples=100)
