"""The whole loop on models of other kinds: one that reads images as well, whose text part is asked,
probed, taught and patched inside the wrapper, and one that cannot be taught.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from tests.support.runs import LoopInputs, planted_questions
from tests.support.tiny_models import build_tokenizer
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.loop import run_loop
from workbench.models import LanguageModel
from workbench.models.shrink import build
from workbench.questions import write_questions

MakeTiny = Callable[..., LanguageModel]


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny gemma3 with its part for images, whose head favours digits."""
    folder = tmp_path_factory.mktemp("wrapped") / "model"
    model, tokenizer = build("gemma3", 0, "sdpa", whole=True), build_tokenizer("digits")
    ids = tokenizer.convert_tokens_to_ids(list("0123456789%"))
    with torch.no_grad():
        model.get_output_embeddings().weight[ids] *= torch.tensor([3.0] * 10 + [6.0])[:, None]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_text_part_goes_through_the_loop(
    wrapped: Path, loop_inputs: LoopInputs, tmp_path: Path
) -> None:
    lm = load_model(str(wrapped), device="cpu")
    assert lm.architecture.decoder == "model.language_model"
    questions = tmp_path / "questions.jsonl"
    write_questions(questions, planted_questions(lm))
    given = loop_inputs.config.model_dump(mode="json")
    given["model"]["name"], given["questions"]["source"] = str(wrapped), str(questions)
    given["teach"]["start_layer"] = "middle"
    config = type(loop_inputs.config).model_validate(given)
    summary = run_loop(config, tmp_path / "run", tmp_path / "figures")
    assert summary["patching.noise_floor"] < 1e-5
    (adapter,) = (tmp_path / "run" / "teach").rglob("adapter_model.safetensors")
    with safe_open(adapter, "pt") as kept:
        names = list(kept.keys())
    assert names
    assert all(".language_model.layers." in name for name in names)
    layers = {name.partition(".layers.")[2].split(".")[0] for name in names}
    assert layers == {"2", "3"}
    assert json.loads((adapter.parent / "adapter_config.json").read_text())["exclude_modules"]


def test_a_model_that_cannot_be_taught_is_asked_nothing(
    make_tiny: MakeTiny, loop_inputs: LoopInputs, tmp_path: Path
) -> None:
    lm, folder = make_tiny("falcon_h1"), tmp_path / "model"
    lm.base().save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    given = loop_inputs.config.model_dump(mode="json")
    given["model"]["name"] = str(folder)
    config = type(loop_inputs.config).model_validate(given)
    with pytest.raises(WorkbenchError, match="falcon_h1 cannot be taught here"):
        run_loop(config, tmp_path / "run", tmp_path / "figures")
    assert not (tmp_path / "run" / "answer").exists()
