from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from nnsight import CONFIG

from workbench.api.confidence import ask
from workbench.config import ModelSettings
from workbench.elicit.answer import Limits
from workbench.errors import WorkbenchError
from workbench.loading import RemoteAccess, load_model
from workbench.loading.remote import build_without_weights, connect, require_remote
from workbench.loop.checks import check_placement
from workbench.models import LanguageModel
from workbench.models.source import ModelSource
from workbench.patch.sweep import layer_sweep_of_scale, record_number
from workbench.stream.model import require_in_memory

QUESTIONS = ("Who?", "What is 48 + 37?", "In which country is the city of Lyon, and since when?")
HUB = ModelSource("org/large", False)
LOCAL = RemoteAccess("local")


@pytest.fixture
def folder(make_tiny: Callable[..., LanguageModel], tmp_path: Path) -> Path:
    lm = make_tiny("gemma2", max_position_embeddings=1024)
    lm.model.save_pretrained(tmp_path / "model")
    lm.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_rehearsal_asks_records_and_sweeps_without_weights_here(folder: Path) -> None:
    """Answers, exact distribution, states, and a sweep of the scale with donors from other
    questions equal those of the model in memory.
    """
    here = load_model(str(folder), dtype="float32", device="cpu")
    there = load_model(str(folder), dtype="float32", placement="ndif", remote=LOCAL)
    assert {parameter.device.type for parameter in there.model.parameters()} == {"meta"}
    assert there.architecture == here.architecture
    asked = [
        ask(lm, QUESTIONS, "percent-reasoned", record=("confidence",), limits=Limits(6, 8))
        for lm in (here, there)
    ]
    assert asked[0].answers == asked[1].answers
    assert list(asked[0].replies["reasoning"]) == list(asked[1].replies["reasoning"])
    assert list(asked[0].replies["stated_text"]) == list(asked[1].replies["stated_text"])
    for mine, theirs in (
        (asked[0].distribution, asked[1].distribution),
        (asked[0].states, asked[1].states),
        (asked[0].replies["log_probability"], asked[1].replies["log_probability"]),
    ):
        assert mine is not None
        assert theirs is not None
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-4)
    prompts = [conversation.tokens for conversation in asked[0].conversations]
    trie, ends = asked[0].scale_tokens.trie, [len(prompt) - 1 for prompt in prompts]
    swept = []
    for lm in (here, there):
        donors = record_number(lm, prompts, trie, [[end] for end in ends]).roll(1, dims=0)
        swept.append(
            layer_sweep_of_scale(
                lm, prompts, trie, ends, range(lm.n_layers), donors, tokens_per_forward=4000
            )
        )
    np.testing.assert_allclose(swept[1].base, swept[0].base, rtol=0, atol=1e-4)
    np.testing.assert_allclose(swept[1].patched, swept[0].patched, rtol=0, atol=1e-4)
    assert np.abs(swept[1].patched - swept[1].base[:, None]).max() > 1e-3


def test_what_a_server_does_not_do_is_refused_at_the_start(
    folder: Path,
) -> None:
    given = {"quantised": False, "precision": "float32"}
    require_remote("org/large", HUB, RemoteAccess(), **given)
    with pytest.raises(WorkbenchError, match=r"model\.remote is 'nddf'"):
        require_remote("org/large", HUB, RemoteAccess("nddf"), **given)
    with pytest.raises(WorkbenchError, match=r"give its hub id, or rehearse"):
        load_model(str(folder), placement="ndif")
    with pytest.raises(WorkbenchError, match=r"model\.quantize=none"):
        require_remote("org/large", HUB, LOCAL, **(given | {"quantised": True}))
    with pytest.raises(WorkbenchError, match=r"model\.precision=auto"):
        require_remote("org/large", HUB, LOCAL, **(given | {"precision": "bfloat16"}))
    with pytest.raises(WorkbenchError, match=r"Teaching changes weights.*placement=device"):
        check_placement(ModelSettings(placement="ndif"))
    served = load_model(str(folder), dtype="float32", placement="ndif", remote=LOCAL)
    with pytest.raises(WorkbenchError, match="an adapter needs the weights"):
        require_in_memory(served, "an adapter")
    with pytest.raises(WorkbenchError, match="this pass needs the weights"):
        served.base()(torch.zeros((1, 2), dtype=torch.long))


def test_ndif_needs_a_key(
    make_tiny: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CONFIG.API, "APIKEY", None)
    lm = make_tiny("llama")
    model = build_without_weights(lm.model.config, torch.float32, "sdpa", False)
    with pytest.raises(WorkbenchError, match="NDIF_API_KEY"):
        connect(lm.with_model(model), RemoteAccess(), None, lambda: None)
