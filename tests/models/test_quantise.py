"""Models quantised at load are the plain ones with rounded matrices, and do all that plain ones
do.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from workbench.config import LoraSettings
from workbench.errors import WorkbenchError
from workbench.loading import load_model
from workbench.models import LanguageModel, in_float32, set_precision
from workbench.models.finite import require_finite
from workbench.models.quantisation import missing_package, quantisation_name
from workbench.models.quantise import SCHEMES, scheme_named
from workbench.models.tolerance import tolerance_of
from workbench.patch.branches import layer_sites, site_branches
from workbench.patch.maps import token_log_probabilities
from workbench.settings.groups import ModelSettings
from workbench.teach.adapter import (
    add_adapter,
    load_adapter,
    remove_adapter,
    save_adapter,
)
from workbench.teach.merged_adapter import adapter_merged
from workbench.trace.backends.lens import LensBackend
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.packed import patch_branches
from workbench.trace.record import record_states
from workbench.trace.sites import Site

IDS = torch.arange(5, 29)[None]
HERE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            bool(missing_package(scheme.method)), reason=f"{scheme.method.install} is not installed"
        ),
    )
    for name, scheme in SCHEMES.items()
]
STEPS = {"int8": 127, "int4": 15, "fp8": 16, "nf4": 7, "bnb-int8": 127}
"""Steps of a scheme's grid over the largest value: its rounding is at most about one of them."""


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.base()(input_ids=IDS).logits


@pytest.mark.parametrize("name", HERE)
def test_a_model_is_its_plain_one_with_matrices_rounded(tiny_folder: Path, name: str) -> None:
    """Each matrix is read back by what it makes of the identity."""
    plain = load_model(str(tiny_folder), device="cpu")
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    matrix = "model.layers.1.mlp.down_proj"
    module, exact = lm.base().get_submodule(matrix), plain.base().get_submodule(matrix).weight
    with torch.no_grad():
        found = module(torch.eye(exact.shape[1])).T
    assert not torch.equal(found, exact)
    assert (found - exact).abs().max() <= 2 * exact.abs().max() / STEPS[name]
    for part in ("model.embed_tokens", "model.norm", "lm_head"):
        assert torch.equal(
            lm.base().get_submodule(part).weight, plain.base().get_submodule(part).weight
        )
    assert quantisation_name(lm) == SCHEMES[name].method.name
    assert (lm.revision, lm.dtype) == (f"{plain.revision}+{name}", torch.float32)
    assert not any(weight.requires_grad for weight in lm.model.parameters())
    assert not lm.model.training


@pytest.mark.parametrize("name", HERE)
def test_packed_and_looped_patches_are_equal_and_no_row_depends_on_others(
    tiny_folder: Path, name: str
) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(5, 300, (3, 12), generator=generator).tolist()
    donors = record_states(lm, prompts[::-1], [[11]] * 3)[:, :, 0]
    sites, last = layer_sites(range(4)), torch.full((3,), 11)
    branches = site_branches(sites, last, donors)
    readout = token_log_probabilities((11, 12))
    packed = patch_branches(lm, prompts, branches, readout, tokens_per_forward=10**6)
    looped = loop_branches(lm, prompts, branches, readout, tokens_per_forward=10**6)
    first = site_branches(sites, last[:1], donors[:1])
    alone = patch_branches(lm, prompts[:1], first, readout, tokens_per_forward=10**6)
    assert torch.allclose(packed.patched, looped.patched, atol=tolerance_of(lm))
    assert torch.allclose(packed.patched[:1], alone.patched, atol=tolerance_of(lm))
    assert not torch.allclose(packed.patched, packed.base[:, None], atol=1e-2)


@pytest.mark.parametrize("name", HERE)
def test_an_adapter_is_trained_saved_and_read_on_frozen_quantised_weights(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    before = logits(lm)
    tuned = add_adapter(lm, LoraSettings(rank=4))
    tuned.model.eval()
    optimizer = torch.optim.SGD([w for w in tuned.model.parameters() if w.requires_grad], lr=0.5)
    losses = []
    for _ in range(5):
        loss = tuned.model(input_ids=IDS, labels=IDS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    trained = logits(tuned)
    save_adapter(tuned, tmp_path, None)
    plain = remove_adapter(tuned)
    assert torch.equal(logits(plain), before)
    again = load_adapter(plain, tmp_path)
    assert torch.allclose(logits(again), trained, atol=1e-5)
    with (
        pytest.raises(WorkbenchError, match=r"Merging an adapter needs plain weights.*run it as"),
        adapter_merged(again),
    ):
        pass


@pytest.mark.parametrize("name", HERE)
def test_bfloat16_products_leave_quantised_weights_as_they_are(
    tiny_folder: Path, name: str
) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    exact = logits(lm)
    set_precision(lm, "bfloat16")
    lower = logits(lm).float()
    assert not torch.equal(lower, exact)
    assert torch.allclose(lower, exact, atol=0.1 * float(exact.abs().max()))
    with in_float32(lm):
        assert torch.allclose(logits(lm), exact, atol=0.02 * float(exact.abs().max()))
    set_precision(lm, "float32")
    require_finite(lm, logits(lm))


@pytest.mark.parametrize("name", HERE[:1])
def test_the_bridge_of_transformer_lens_refuses(tiny_folder: Path, name: str) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    with pytest.raises(WorkbenchError, match="transformer-lens backend needs plain weights"):
        LensBackend(lm)


@pytest.mark.parametrize("name", HERE[:1])
def test_nnsight_records_the_same_states(tiny_folder: Path, name: str) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    prompts, at = [[*range(5, 15)], [*range(7, 17)]], [[9], [9]]
    sites = [Site(layer, "resid_post") for layer in range(4)]
    found = NnsightBackend(lm).record(prompts, at, sites)[:, :, 0]
    assert torch.allclose(found, record_states(lm, prompts, at)[:, :, 0], atol=1e-5)


@pytest.mark.parametrize("name", HERE[:1])
def test_a_checkpoint_saved_by_torchao_loads_as_it_is(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    lm = load_model(str(tiny_folder), device="cpu", quantize=name)
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    again = load_model(str(tmp_path), device="cpu")
    assert quantisation_name(again) == "torchao"
    assert torch.equal(logits(again), logits(lm))


def test_unknown_schemes_and_missing_libraries_are_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scheme_named("none") is None
    with pytest.raises(WorkbenchError, match="unknown quantisation 'int3': use one of none, int8"):
        load_model(str(tiny_folder), quantize="int3")
    monkeypatch.setattr("workbench.models.quantisation.find_spec", lambda name: None)
    with pytest.raises(
        WorkbenchError,
        match=r"model\.quantize=nf4 quantises by bitsandbytes_4bit, and the package bitsandbytes "
        "that does it is not installed: pip install bitsandbytes",
    ):
        load_model(str(tiny_folder), quantize="nf4")


def test_the_setting_names_every_scheme() -> None:
    assert set(get_args(ModelSettings.model_fields["quantize"].annotation)) == {"none", *SCHEMES}
