"""Every layout against the formula of those who publish it, written out here from raw tensors."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.dictionaries import (
    WIDTH,
    K,
    Weights,
    draw_weights,
    save_circuit_tracer,
    save_gemma_scope,
    save_gemma_scope_2,
    save_llama_scope,
    save_sae_lens,
    save_sparsify,
)
from workbench.errors import WorkbenchError
from workbench.features import Dictionary, load_dictionary
from workbench.trace.sites import Site

W = draw_weights()
STATES = torch.randn((7, WIDTH), generator=torch.Generator().manual_seed(9)) + 0.3
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def dense(book: Dictionary, states: Tensor = STATES) -> Tensor:
    """The activations [tokens, features] of every feature."""
    return book.encode(states).chosen(torch.arange(book.features))


def check(book: Dictionary, acts: Tensor, made: Tensor, states: Tensor = STATES) -> None:
    """Activations and reconstruction, whole and of some features alone."""
    torch.testing.assert_close(dense(book, states), acts, **CLOSE)
    torch.testing.assert_close(book.decode(book.encode(states), states), made, **CLOSE)
    some = torch.tensor([40, 3, 17])
    torch.testing.assert_close(book.activations(states, some), acts[:, some], **CLOSE)
    assert 0 < float((acts > 0).float().mean()) < 0.9


def top(pre: Tensor) -> Tensor:
    """All but the k largest of each token at zero, and those below zero too."""
    values, at = pre.topk(K, dim=-1)
    return torch.zeros_like(pre).scatter(-1, at, values.relu())


def jump(pre: Tensor, threshold: Any) -> Tensor:
    return pre.relu() * (pre > threshold)


def test_sae_lens(tmp_path: Path) -> None:
    """Version 6 keeps the hook point in metadata; the decoder's bias is taken from the input."""
    book = load_dictionary(
        save_sae_lens(
            tmp_path,
            W,
            hook_name=None,
            metadata={"hook_name": "blocks.2.hook_mlp_out"},
            apply_b_dec_to_input=True,
        )
    )
    acts = ((STATES - W.decoder_bias) @ W.encoder.T + W.encoder_bias).relu()
    check(book, acts, acts @ W.decoder + W.decoder_bias)
    assert (book.site, book.source) == (Site(2, "mlp_out"), None)


def test_sae_lens_of_jumps_with_its_input_as_it_is(tmp_path: Path) -> None:
    folder = save_sae_lens(tmp_path, W, architecture="jumprelu", apply_b_dec_to_input=False)
    acts = jump(STATES @ W.encoder.T + W.encoder_bias, W.threshold)
    check(load_dictionary(folder), acts, acts @ W.decoder + W.decoder_bias)


@pytest.mark.parametrize("by_norm", [False, True])
def test_sae_lens_of_the_largest(tmp_path: Path, by_norm: bool) -> None:
    """With rescaling, activations are in units of unit decoder rows."""
    folder = save_sae_lens(
        tmp_path, W, architecture="topk", k=K, rescale_acts_by_decoder_norm=by_norm
    )
    norm = W.decoder.norm(dim=1) if by_norm else torch.ones(len(W.decoder))
    acts = top(((STATES - W.decoder_bias) @ W.encoder.T + W.encoder_bias) * norm)
    check(load_dictionary(folder), acts, (acts / norm) @ W.decoder + W.decoder_bias)


def test_sae_lens_before_version_6(tmp_path: Path) -> None:
    """top-k is an activation there, and its k an argument of it."""
    config = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    book = load_dictionary(save_sae_lens(tmp_path, W, normalize_activations=False, **config))
    acts = top((STATES - W.decoder_bias) @ W.encoder.T + W.encoder_bias)
    check(book, acts, acts @ W.decoder + W.decoder_bias)


def test_sae_lens_of_a_batch_is_read_with_its_threshold(tmp_path: Path) -> None:
    book = load_dictionary(
        save_sae_lens(tmp_path, W, architecture="batchtopk", apply_b_dec_to_input=False)
    )
    acts = jump(STATES @ W.encoder.T + W.encoder_bias, 0.05)
    check(book, acts, acts @ W.decoder + W.decoder_bias)
    assert book.activation.kind == "batch_topk"


def test_sae_lens_of_normalised_states(tmp_path: Path) -> None:
    """Layer norm and one length; the reconstruction is back in the states' own scale."""
    middle = STATES.mean(dim=1, keepdim=True)
    spread = (STATES - middle).std(dim=1, keepdim=True)
    length = STATES.norm(dim=1, keepdim=True) / WIDTH**0.5
    zero = torch.zeros(1)
    for name, inner, size, shift in (
        ("layer_norm", (STATES - middle) / (spread + 1e-5), spread, middle),
        ("constant_norm_rescale", STATES / length, length, zero),
    ):
        book = load_dictionary(save_sae_lens(tmp_path / name, W, normalize_activations=name))
        acts = ((inner - W.decoder_bias) @ W.encoder.T + W.encoder_bias).relu()
        check(book, acts, (acts @ W.decoder + W.decoder_bias) * size + shift)


def test_sae_lens_of_scaled_states_needs_their_scale(tmp_path: Path) -> None:
    folder = save_sae_lens(tmp_path, W, normalize_activations="expected_average_only_in")
    with pytest.raises(
        WorkbenchError, match=r"multiplied by one number .* give it as input_scale="
    ):
        load_dictionary(folder)
    acts = ((2.5 * STATES - W.decoder_bias) @ W.encoder.T + W.encoder_bias).relu()
    made = (acts @ W.decoder + W.decoder_bias) / 2.5
    check(load_dictionary(folder, input_scale=2.5), acts, made)
    plain = save_sae_lens(tmp_path / "plain", W)
    with pytest.raises(WorkbenchError, match="states as they are; leave input_scale out"):
        load_dictionary(plain, input_scale=2.5)


def test_sae_lens_of_a_transcoder_with_a_skip(tmp_path: Path) -> None:
    names = {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_mlp_out"}
    book = load_dictionary(save_sae_lens(tmp_path, W, architecture="skip_transcoder", **names))
    acts = (STATES @ W.encoder.T + W.encoder_bias).relu()
    check(book, acts, acts @ W.decoder + W.decoder_bias + STATES @ W.skip.T)
    assert (book.site, book.source_site) == (Site(1, "mlp_out"), Site(1, "mlp_in"))


def test_gemma_scope(tmp_path: Path) -> None:
    """The release and the layer are in the path."""
    folder = tmp_path / "models--google--gemma-scope-2b-pt-res" / "layer_3" / "width_16k"
    book = load_dictionary(save_gemma_scope(folder, W))
    acts = jump(STATES @ W.encoder.T + W.encoder_bias, W.threshold)
    check(book, acts, acts @ W.decoder + W.decoder_bias)
    assert book.site == Site(3)
    with pytest.raises(WorkbenchError, match=r"do not say what the dictionary writes; give site="):
        load_dictionary(save_gemma_scope(tmp_path / "here", W))
    assert load_dictionary(tmp_path / "here" / "params.npz", site=Site(2)).site == Site(2)


def test_gemma_scope_of_a_transcoder_needs_the_gain(tmp_path: Path) -> None:
    """It reads x where the MLP is given gain * x."""
    folder = save_gemma_scope(tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_1", W)
    with pytest.raises(WorkbenchError, match=r"before the gain of its norm; give .* gain="):
        load_dictionary(folder)
    gain = torch.linspace(0.5, 2.0, WIDTH)
    book = load_dictionary(folder, gain=gain)
    acts = jump(STATES @ W.encoder.T + W.encoder_bias, W.threshold)
    check(book, acts, acts @ W.decoder + W.decoder_bias, STATES * gain)
    assert (book.site, book.source) == (Site(1, "mlp_out"), "mlp_in")


def test_gemma_scope_2(tmp_path: Path) -> None:
    book = load_dictionary(save_gemma_scope_2(tmp_path / "sae", W))
    acts = jump(STATES @ W.encoder.T + W.encoder_bias, W.threshold)
    check(book, acts, acts @ W.decoder + W.decoder_bias)
    assert (book.site, book.source) == (Site(1), None)
    names = {
        "hf_hook_point_in": "model.layers.2.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.2.post_feedforward_layernorm.output",
    }
    book = load_dictionary(save_gemma_scope_2(tmp_path / "transcoder", W, skip=True, **names))
    check(book, acts, acts @ W.decoder + W.decoder_bias + STATES @ W.skip.T)
    assert (book.site, book.source_site) == (Site(2, "mlp_out"), Site(2, "mlp_in"))


def test_sparsify(tmp_path: Path) -> None:
    book = load_dictionary(save_sparsify(tmp_path / "layers.2", W))
    acts = top(((STATES - W.decoder_bias) @ W.encoder.T + W.encoder_bias).relu())
    check(book, acts, acts @ W.decoder + W.decoder_bias)
    assert book.site == Site(2)
    assert load_dictionary(save_sparsify(tmp_path / "layers.3.mlp", W)).site == Site(3, "mlp_out")
    folder = save_sparsify(tmp_path / "t" / "layers.0.mlp", W, skip=True, transcode=True)
    book = load_dictionary(folder)
    acts = top((STATES @ W.encoder.T + W.encoder_bias).relu())
    check(book, acts, acts @ W.decoder + W.decoder_bias + STATES @ W.skip.T)
    assert (book.site, book.source) == (Site(0, "mlp_out"), "mlp_in")


def test_llama_scope(tmp_path: Path) -> None:
    """The authors' own inference: biases and decoder in the units of plain states, the threshold
    compared with activations times their decoder rows' lengths.
    """
    folder = save_llama_scope(tmp_path, W, dataset_average_activation_norm={"in": 4.0, "out": 2.0})
    given, made = WIDTH**0.5 / 4, WIDTH**0.5 / 2
    decoder = W.decoder * given / made
    length = decoder.norm(dim=1)
    pre = STATES @ W.encoder.T + W.encoder_bias / given
    acts = jump(pre * length, 0.1)
    check(
        load_dictionary(folder),
        acts,
        (acts / length) @ decoder + W.decoder_bias / made,
    )
    scale = torch.tensor(given)
    raw = (scale * STATES) @ W.encoder.T + W.encoder_bias
    torch.testing.assert_close(raw / given, pre, **CLOSE)


def test_circuit_tracer(tmp_path: Path) -> None:
    file = save_circuit_tracer(tmp_path, W, layer=2)
    acts = (STATES @ W.encoder.T + W.encoder_bias).relu()
    for path in (file, tmp_path):
        book = load_dictionary(path)
        check(book, acts, acts @ W.decoder + W.decoder_bias + STATES @ W.skip.T)
        assert (book.site, book.source_site) == (Site(2, "mlp_out"), Site(2, "mlp_in"))
    save_circuit_tracer(tmp_path, W, layer=3)
    with pytest.raises(WorkbenchError, match=r"holds 2 layers, .* name the file of one"):
        load_dictionary(tmp_path)


def test_half_precision_is_kept_and_computed_wide(tmp_path: Path) -> None:
    book = load_dictionary(save_sae_lens(tmp_path, W), dtype=torch.bfloat16)
    assert book.encoder.dtype == torch.bfloat16
    rounded = [part.bfloat16().float() for part in (W.encoder, W.encoder_bias, W.decoder_bias)]
    acts = ((STATES - rounded[2]) @ rounded[0].T + rounded[1]).relu()
    torch.testing.assert_close(dense(book), acts, **CLOSE)


def _unknown(folder: Path) -> Path:
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
    return folder


def _pickle(folder: Path) -> Path:
    torch.save({"W_enc": torch.zeros(2, 2)}, folder / "ae.pt")
    return folder / "ae.pt"


def _objects(folder: Path) -> Path:
    here = folder / "gemma-scope-2b-pt-res" / "layer_3"
    save_gemma_scope(here, W)
    with np.load(here / "params.npz") as held:
        arrays: dict[str, Any] = {name: held[name] for name in held.files}
    np.savez(here / "params.npz", **{**arrays, "W_enc": np.array([{}, 1], dtype=object)})
    return here


def _cut(folder: Path) -> Path:
    short = Weights(
        W.encoder[:, :-1], W.encoder_bias, W.decoder, W.decoder_bias, W.threshold, W.skip
    )
    return save_sae_lens(folder, short)


def _broken(folder: Path) -> Path:
    bad = W.encoder.clone()
    bad[0, 0] = float("nan")
    return save_sae_lens(
        folder, Weights(bad, W.encoder_bias, W.decoder, W.decoder_bias, W.threshold, W.skip)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none", "There is no dictionary at"),
        (_unknown, r"it holds model.safetensors with the tensors weight. Known are SAE Lens"),
        (lambda folder: folder, "it holds nothing"),
        (_pickle, "ae.pt is a pickle, which can run code"),
        (lambda folder: _pickle(folder).parent, r"it holds ae.pt. .*Pickles are not opened"),
        (_objects, "something other than arrays of numbers"),
        (_cut, r"decoder_bias of SAE Lens .* does not fit an encoder|centre of SAE Lens"),
        (_broken, "encoder in sae_weights.safetensors has NaN"),
        (
            lambda folder: save_sae_lens(folder, W, architecture="gated"),
            "kind 'gated' are not read",
        ),
        (
            lambda folder: save_sae_lens(folder, W, hook_name="blocks.1.attn.hook_z"),
            "'blocks.1.attn.hook_z' is no whole component",
        ),
        (
            lambda folder: save_sae_lens(folder, W, normalize_activations="sphere"),
            "normalised by 'sphere'",
        ),
        (
            lambda folder: save_sae_lens(folder, W, architecture="topk", k=99),
            "has 48 features and would keep 99",
        ),
        (
            lambda folder: save_sparsify(folder / "layers.1", W, activation="groupmax"),
            "kind 'groupmax' are not read",
        ),
        (
            lambda folder: save_llama_scope(
                folder,
                W,
                hook_point_in="blocks.0.mlp.hook_in",
                hook_point_out="blocks.1.hook_mlp_out",
            ),
            "reads layer 0 and writes layer 1",
        ),
    ],
)
def test_what_cannot_be_loaded_is_named(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=re.compile(message, re.DOTALL)):
        load_dictionary(make(tmp_path))


def test_a_torn_file_and_a_torn_configuration_are_named(tmp_path: Path) -> None:
    folder = save_sae_lens(tmp_path, W)
    (folder / "cfg.json").write_text("{")
    with pytest.raises(WorkbenchError, match=r"cfg.json is no configuration"):
        load_dictionary(folder)
    (folder / "sae_weights.safetensors").write_bytes(b"torn")
    with pytest.raises(WorkbenchError, match=r"cannot be read .* download it again"):
        load_dictionary(folder)
