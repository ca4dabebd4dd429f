from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nnsight import CONFIG
from nnsight.intervention.serialization import CustomCloudUnpickler
from nnsight.modeling.base import NNsight
from nnsight.schema.request import RequestModel
from peft import LoraConfig, get_peft_model

from tests.support.tiny_models import WRITTEN_OUT
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

MakeTiny = Callable[..., LanguageModel]


def lora(lm: LanguageModel, seed: int = 5) -> Any:
    """A PEFT model whose adapter does something."""
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "o_proj", "down_proj"], lora_dropout=0.0
    )
    torch.manual_seed(seed)
    model = get_peft_model(lm.model, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def belongings(lm: LanguageModel) -> Any:
    """Everything a wrapper could leave on a model: attributes, modules, hooks, modes,
    configuration, tokenizer.
    """
    modules = [
        (
            name,
            sorted(vars(module)),
            list(module._modules),
            list(module._forward_hooks),
            module.training,
        )
        for name, module in lm.model.named_modules()
    ]
    gradients = [parameter.requires_grad for parameter in lm.model.parameters()]
    return (
        modules,
        gradients,
        lm.model.config.to_dict(),
        sorted(vars(lm.tokenizer)),
        lm.tokenizer.padding_side,
    )


@pytest.mark.parametrize("family", WRITTEN_OUT)
def test_same_sites_same_answers_here(
    make_tiny: MakeTiny, agree: Callable[..., None], family: str
) -> None:
    lm = make_tiny(family)
    before = belongings(lm)
    agree(NnsightBackend(lm), lm)
    assert belongings(lm) == before


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2"])
def test_same_sites_same_answers_after_packing_and_unpacking(
    make_tiny: MakeTiny, agree: Callable[..., None], family: str
) -> None:
    lm = make_tiny(family)
    before = belongings(lm)
    agree(NnsightBackend(lm, remote="local"), lm)
    assert belongings(lm) == before


def test_a_window_shorter_than_the_prompts(make_tiny: MakeTiny, agree: Callable[..., None]) -> None:
    lm = make_tiny("gemma2", sliding_window=4)
    agree(NnsightBackend(lm), lm)


def test_a_sweep_is_one_request_of_plain_data(
    tiny_lm: LanguageModel, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One payload for all branches; it names torch, nnsight and what they stand on, and holds no
    weights.
    """
    blobs: list[bytes] = []
    named: set[str] = set()
    unpack = RequestModel.deserialize

    class Noting(CustomCloudUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add(module.split(".")[0])
            return super().find_class(module, name)

    def noting(blob: bytes, persistent_objects: Any = None, compress: bool = False) -> Any:
        blobs.append(blob)
        return unpack(blob, persistent_objects, compress, Noting)

    monkeypatch.setattr(RequestModel, "deserialize", staticmethod(noting))
    backend = NnsightBackend(tiny_lm, remote="local")
    backend.patch(case.prompts, case.branches, lambda logits: logits[:, :2], tokens_per_forward=99)
    assert len(blobs) == 1
    assert named <= {
        "torch",
        "nnsight",
        "builtins",
        "collections",
        "types",
        "cloudpickle",
        "_codecs",
    }
    values = sum(patch.value.numel() * 4 for branch in case.branches for patch in branch)
    weights = sum(parameter.numel() * 4 for parameter in tiny_lm.model.parameters())
    assert values < len(blobs[0]) < weights
    backend.record(case.prompts, case.positions, [Site(0), Site(2)])
    assert len(blobs) == 2


def test_a_slice_of_a_large_recording_travels_alone(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    pack = RequestModel.serialize

    def noting(tracer: Any, compress: bool = False) -> bytes:
        blob = pack(tracer, compress)
        sizes.append(len(blob))
        return blob

    monkeypatch.setattr(RequestModel, "serialize", staticmethod(noting))
    large = torch.randn((1, 20_000, 32))
    backend = NnsightBackend(tiny_lm, remote="local")
    backend.patch(
        [[5, 6]],
        [[Patch(Site(1), torch.tensor([1]), large[:, 7])]],
        lambda logits: logits[:, :2],
        tokens_per_forward=9,
    )
    assert sizes[0] < large.numel()


def test_nothing_is_left_behind_when_the_readout_fails(tiny_lm: LanguageModel) -> None:
    before = belongings(tiny_lm)

    def broken(logits: torch.Tensor) -> torch.Tensor:
        raise KeyError("no such token")

    with pytest.raises(KeyError, match="no such token"):
        NnsightBackend(tiny_lm).patch(
            [[5, 6]],
            [[Patch(Site(1), torch.tensor([1]), torch.ones(1, 32))]],
            broken,
            tokens_per_forward=9,
        )
    assert belongings(tiny_lm) == before


def test_hooks_and_wrappers_of_others_stay(tiny_lm: LanguageModel) -> None:
    own = NNsight(tiny_lm.base())
    seen: list[int] = []
    handle = tiny_lm.layers()[0].register_forward_hook(lambda *_: seen.append(1))
    before = belongings(tiny_lm)
    states = NnsightBackend(tiny_lm).record([[5, 6, 7]], [[2]], [Site(1)])
    assert belongings(tiny_lm) == before
    assert seen == [1]
    with own.trace(input_ids=torch.tensor([[5, 6, 7]])):
        traced = own.model.layers[1].output.save()
    torch.testing.assert_close(traced[:, 2], states[:, 0, 0])
    handle.remove()


@pytest.mark.parametrize("remote", [False, "local"])
def test_a_peft_model_runs_with_its_adapter(
    make_tiny: MakeTiny, agree: Callable[..., None], remote: bool | str
) -> None:
    lm = make_tiny("llama")
    tuned = lm.with_model(lora(lm))
    before = belongings(tuned)
    agree(NnsightBackend(tuned, remote=remote), tuned)
    assert belongings(tuned) == before


def test_an_adapter_from_a_folder_is_put_on_and_taken_off(
    make_tiny: MakeTiny, tmp_path: Path
) -> None:
    lm = make_tiny("llama")
    tuned = lora(lm)
    tuned.save_pretrained(tmp_path)
    ask = ([[5, 6, 7, 8], [9, 10]], [[3], [1]], [Site(3), Site(1, "attn_out")])
    expected = NnsightBackend(lm.with_model(tuned)).record(*ask)
    plain = make_tiny("llama")
    before = belongings(plain)
    torch.testing.assert_close(
        NnsightBackend(plain, peft=str(tmp_path)).record(*ask), expected, rtol=1e-5, atol=1e-5
    )
    assert belongings(plain) == before
    assert (NnsightBackend(plain).record(*ask) - expected).abs().max() > 1e-2
    with pytest.raises(WorkbenchError, match="adapter is there twice"):
        NnsightBackend(lm.with_model(tuned), peft=str(tmp_path))


def test_parameters_that_need_a_gradient_still_do(make_tiny: MakeTiny, tmp_path: Path) -> None:
    lora(make_tiny("llama")).save_pretrained(tmp_path)
    lm = make_tiny("llama")
    lm.model.requires_grad_(True)
    states = NnsightBackend(lm, peft=str(tmp_path)).record([[5, 6]], [[1]], [Site(0)])
    assert not states.requires_grad
    assert all(parameter.requires_grad for parameter in lm.model.parameters())


def test_a_server_needs_a_key_a_hub_id_and_a_model_without_adapter(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(CONFIG.API, "APIKEY", None)
    with pytest.raises(WorkbenchError, match="NDIF_API_KEY"):
        NnsightBackend(tiny_lm, remote=True, repo="org/tiny")
    monkeypatch.setattr(CONFIG.API, "APIKEY", "a key")
    with pytest.raises(WorkbenchError, match=r"'tiny-llama' is none: give repo="):
        NnsightBackend(tiny_lm, remote=True)
    with pytest.raises(WorkbenchError, match="give repo="):
        NnsightBackend(tiny_lm, remote=True, repo=str(tmp_path))
    with pytest.raises(WorkbenchError, match="give the model without it"):
        NnsightBackend(tiny_lm.with_model(lora(tiny_lm)), remote=True, repo="org/tiny")


def test_a_server_that_does_not_answer_is_a_sentence(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_known_ids(), "org/tiny", "org/tiny")
    backend = NnsightBackend(tiny_lm, remote="http://127.0.0.1:9", repo="org/tiny")
    before = belongings(tiny_lm)
    with pytest.raises(WorkbenchError, match="did not run 'org/tiny'"):
        backend.record([[5, 6]], [[1]], [Site(0)])
    assert belongings(tiny_lm) == before


def _known_ids() -> dict[str, str]:
    """nnsight's memory of canonical hub ids; an entry spares it the hub."""
    from nnsight.modeling import huggingface

    return huggingface._ID_CACHE
