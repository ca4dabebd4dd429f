from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends import ENGINES, Backend, engine
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

NAMES = [name for name in ENGINES if name != "ndif"]


@pytest.mark.parametrize("name", NAMES)
def test_every_row_makes_a_backend(tiny_lm: LanguageModel, name: str) -> None:
    one: Backend = engine(name)(tiny_lm)
    own = tiny_lm.model(torch.tensor([[5, 6, 7]]), output_hidden_states=True)
    states = one.record([[5, 6, 7]], [[2, 0]], [Site(1), Site(0, "resid_pre")])
    torch.testing.assert_close(states[0, 0, 0], own.hidden_states[2][0, 2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(states[0, 1, 1], own.hidden_states[0][0, 0])
    same = Patch(Site(3), torch.tensor([2]), one.record([[5, 6, 7]], [[2]], [Site(3)])[:, 0, 0])
    found = one.patch(
        [[5, 6, 7]], [[same], [same]], lambda logits: logits.argmax(-1), tokens_per_forward=9
    )
    assert found.base.tolist() == [int(own.logits[0, -1].argmax())]
    assert found.patched.tolist() == [found.base.tolist() * 2]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_mistakes_are_refused(tiny_lm: LanguageModel, name: str) -> None:
    one = engine(name)(tiny_lm)
    prompts = [[5, 6, 7], [8]]
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        one.record(prompts, [[2], [1]], [Site(0)])
    with pytest.raises(WorkbenchError, match="Layer 4 does not exist"):
        one.record(prompts, [[2], [0]], [Site(4)])
    patch = Patch(Site(0), torch.tensor([2, 1]), torch.zeros(2, 32))
    with pytest.raises(WorkbenchError, match="outside its prompt"):
        one.patch(prompts, [[patch]], lambda logits: logits, tokens_per_forward=9)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        WorkbenchError,
        match=r"Unknown engine 'pyvene'; use one of packed, loop, nnsight, transformer-lens, ndif",
    ):
        engine("pyvene")


def test_a_server_is_asked_for_by_name(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnsight import CONFIG

    monkeypatch.setattr(CONFIG.API, "APIKEY", "")
    with pytest.raises(WorkbenchError, match="NDIF needs an API key"):
        engine("ndif")(tiny_lm)
    monkeypatch.setattr(CONFIG.API, "APIKEY", "a key")
    one = engine("ndif", repo="org/name")(tiny_lm)
    assert isinstance(one, NnsightBackend)
    assert one.remote is True
    assert one.repo == "org/name"


def test_the_libraries_are_loaded_when_they_are_asked_for() -> None:
    """Each costs seconds, and most runs need neither."""
    code = (
        "import sys, workbench.trace.backends; print({'nnsight', 'transformer_lens'} & "
        "set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
