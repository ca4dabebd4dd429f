"""Tiny random models with tiny tokenizers, built in code: no downloads, the same on every machine.

Models are fresh at every call, because adapters and patches change a module in place.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from hypothesis import settings
from transformers import PreTrainedTokenizerFast

from tests.support.gguf_files import write_gguf
from tests.support.precision import only_in
from tests.support.runs import (
    ANSWER_TOKENS,
    MARKUP,
    FinishedRun,
    LoopInputs,
    planted_questions,
    save_number_writer,
    written_at_the_end,
)
from tests.support.tiny_models import build_tiny, build_tokenizer
from workbench.config import RunConfig
from workbench.loading import load_model
from workbench.loop import open_current_run
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.progress_bars import show_progress
from workbench.questions import write_questions

# A property that takes long on a busy machine is no fault.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
seen_modules = 0

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # processes share the cores; threads of several would wait for one another
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def pytest_runtest_setup() -> None:
    """Take imported libraries (half a million objects) out of the garbage collector's sight once
    there are new ones: looking at them again at every stage's end takes a quarter of a second each
    time.
    """
    global seen_modules
    if len(sys.modules) > seen_modules + 20:
        gc.collect()
        gc.freeze()
        seen_modules = len(sys.modules)


@pytest.fixture
def no_bars_afterwards() -> Iterator[None]:
    """A test may draw bars and hide notices from then on; those after it begin without either."""
    yield
    show_progress(False)


@pytest.fixture(scope="session")
def make_tiny() -> Callable[..., LanguageModel]:
    """``make_tiny(family="llama", tokenizer="digits", seed=0, **config_overrides)``, fresh at
    every call.
    """
    return build_tiny


@pytest.fixture
def make_tokenizer() -> Callable[[str], PreTrainedTokenizerFast]:
    """``make_tokenizer(kind)`` with kind ``digits``, ``whole_numbers`` or ``merged_space``."""
    return build_tokenizer


@pytest.fixture
def tiny_lm() -> LanguageModel:
    """The tiny llama."""
    return build_tiny()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny llama that ``load_model`` and the command line can load; not to be written
    to.
    """
    folder = tmp_path_factory.mktemp("tiny") / "llama"
    lm = build_tiny()
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_gguf() -> Callable[..., Path]:
    """``make_gguf(path, lm, split="smollm", vocabulary=None)`` writes a tiny llama as a GGUF
    file.
    """
    return write_gguf


@pytest.fixture(scope="session")
def answered_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 open questions of two domains, no two with the same answer, so that each can be asked
    as a choice.
    """
    path = tmp_path_factory.mktemp("answered") / "questions.jsonl"
    rows = [
        {
            "question": f"Which planet has {i} moons?{MARKUP}",
            "answers": [f"Planet{i}"],
            "domain": ("near", "far")[i % 2],
        }
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build_once(
    factory: pytest.TempPathFactory, name: str, build: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Return the folder ``name`` and what ``build`` returned when the first of the suite's
    processes that asked filled it; the others wait for that one.
    """
    root = factory.getbasetemp()
    place = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / f"shared-{name}"
    kept = place.with_suffix(".json")
    with FileLock(place.with_suffix(".lock")):
        if not kept.exists():
            place.mkdir()
            kept.write_text(json.dumps(build(place)))
    return place, json.loads(kept.read_text())


@pytest.fixture(scope="session")
def loop_inputs(tmp_path_factory: pytest.TempPathFactory) -> LoopInputs:
    """Model, questions and settings of a whole run that takes seconds."""

    def build(place: Path) -> dict[str, Any]:
        save_number_writer(place / "model")
        lm = load_model(str(place / "model"), device="cpu")
        write_questions(place / "questions.jsonl", planted_questions(lm))
        return {}

    place, _ = build_once(tmp_path_factory, "loop", build)
    model, questions = place / "model", place / "questions.jsonl"
    config = RunConfig.model_validate(
        {
            "model": {"name": str(model), "device": "cpu", "precision": "float32"},
            "questions": {"source": str(questions), "limit": 132, "train_fraction": 0.5},
            "elicit": {"answer_tokens": ANSWER_TOKENS},
            "probe": {
                "folds": 3,
                "inner_folds": 2,
                "inverse_penalties": (0.01, 0.1),
                "shuffles": 2,
            },
            "teach": {
                "lora": {"rank": 8, "alpha": 16},
                "start_layer": 0,
                "learning_rate": 1e-3,
                "epochs": 1,
                "gradient_accumulation_steps": 1,
                "checkpoint_steps": 3,
            },
            "patch": {"n_questions": 8, "share": 0, "control_layers": 2},
            "bootstrap_resamples": 200,
        }
    )
    return LoopInputs(model, questions, config)


@pytest.fixture(scope="session")
def finished_run(loop_inputs: LoopInputs, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The whole loop on the tiny model, uninterrupted."""
    from workbench.loop import run_loop

    place, summary = build_once(
        tmp_path_factory,
        "finished",
        lambda place: run_loop(loop_inputs.config, place / "run", place / "figures"),
    )
    return FinishedRun(loop_inputs, place / "run", place / "figures", summary)


@pytest.fixture(scope="session")
def conversation_run(
    finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    """The same with an adapter on the whole conversation that writes its targets as text; what
    it builds on is not done anew.
    """
    from workbench.loop import run_loop
    from workbench.pipeline.stages import Reuse

    inputs = finished_run.inputs
    changes = {"adapter_scope": "conversation", "target": "text", "learning_rate": 5e-3}
    config = inputs.config.model_copy(
        update={"teach": inputs.config.teach.model_copy(update=changes)}
    )

    def build(place: Path) -> dict[str, Any]:
        folder = shutil.copytree(finished_run.folder, place / "run")
        return run_loop(config, folder, place / "figures", Reuse(replace=True))

    place, summary = build_once(tmp_path_factory, "conversation", build)
    return FinishedRun(replace(inputs, config=config), place / "run", place / "figures", summary)


@pytest.fixture(scope="session")
def seeds_run(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The finished run with a second training; what the first run did is not done anew."""
    from workbench.loop import run_loop

    inputs = finished_run.inputs
    config = inputs.config.model_copy(update={"trainings": 2})

    def build(place: Path) -> dict[str, Any]:
        folder = shutil.copytree(finished_run.folder, place / "run")
        return run_loop(config, folder, place / "figures")

    place, summary = build_once(tmp_path_factory, "seeds", build)
    return FinishedRun(replace(inputs, config=config), place / "run", place / "figures", summary)


@pytest.fixture
def little_room() -> Callable[[int], Any]:
    """A block in which no file of this process grows beyond so many bytes: the writers' own
    errors of a disk that is full.
    """

    @contextmanager
    def within(most: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return within


@pytest.fixture(scope="session")
def lower_run(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The same loop in bfloat16, no pass of it in anything else but what patching compares in
    float32 on purpose.
    """
    from workbench.loop import run_loop

    whole = finished_run.inputs.config
    config = whole.model_copy(
        update={"model": whole.model.model_copy(update={"precision": "bfloat16"})}
    )

    def build(place: Path) -> dict[str, Any]:
        with only_in("bfloat16") as watched, written_at_the_end():
            summary = run_loop(config, place / "run", place / "figures")
        assert watched.models == 1
        assert watched.products > 1000
        assert watched.on_purpose > 0
        return summary

    place, summary = build_once(tmp_path_factory, "lower", build)
    inputs = replace(finished_run.inputs, config=config)
    return FinishedRun(inputs, place / "run", place / "figures", summary)


@pytest.fixture(scope="session")
def context(finished_run: Any) -> Run:
    """The finished run on the tiny model, opened for reading; its folders are not to be written
    to.
    """
    return open_current_run(finished_run.inputs.config, finished_run.folder, finished_run.figures)


@pytest.fixture(scope="session")
def seeds_context(seeds_run: Any) -> Run:
    """The finished run with two trainings, opened for reading."""
    return open_current_run(seeds_run.inputs.config, seeds_run.folder, seeds_run.figures)


@pytest.fixture(scope="session")
def conversation_context(conversation_run: Any) -> Run:
    """The finished run whose adapter acts on the whole conversation, opened for reading."""
    return open_current_run(
        conversation_run.inputs.config, conversation_run.folder, conversation_run.figures
    )


@pytest.fixture
def writable(finished_run: Any, tmp_path: Path) -> Run:
    """The same with folders of its own."""
    folder = shutil.copytree(finished_run.folder, tmp_path / "run")
    figures = shutil.copytree(finished_run.figures, tmp_path / "figures")
    return open_current_run(finished_run.inputs.config, folder, figures)
