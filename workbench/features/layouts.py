"""List the published layouts of dictionaries as data: which files, which tensors, which way round.

A row says what a release calls each weight and whether it stores it the other way round than
:class:`~workbench.features.dictionary.Dictionary` holds it (encoder [features, read], decoder
[features, written], skip [written, read]). What its configuration means is read in
:mod:`workbench.features.trained_as`. The rows follow the code that writes or reads the files:

- SAE Lens: sae_lens/loading/pretrained_sae_loaders.py, sae_lens/saes/{sae,topk_sae,transcoder}.py
  of github.com/decoderesearch/SAELens.
- Gemma Scope (``params.npz``): the same file, and
  circuit_tracer/transcoder/single_layer_transcoder.py of github.com/safety-research/circuit-tracer.
- Gemma Scope 2 (``params.safetensors``): ``load_gemma_scope_2_transcoder`` there.
- sparsify: sparsify/sparse_coder.py of github.com/EleutherAI/sparsify.
- Llama Scope: ``llama_scope_sae_huggingface_loader`` of SAE Lens for the tensors;
  ``standardize_parameters_of_dataset_norm`` of github.com/OpenMOSS/Language-Model-SAEs for the
  scale.
- circuit-tracer's per-layer transcoders: ``SingleLayerTranscoder.to_safetensors`` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Weight = Literal[
    "encoder", "encoder_bias", "decoder", "decoder_bias", "threshold", "skip", "k", "scale"
]
NEEDED: tuple[Weight, ...] = ("encoder", "encoder_bias", "decoder", "decoder_bias")


@dataclass(frozen=True)
class Layout:
    """The files and tensors of a release.

    Attributes:
        weights: pattern of the file of weights, from the dictionary's folder on.
        config: the file of the configuration beside it, from that folder on; "" where there is
        none.
        tensors: what each weight is called; those that are not in :data:`NEEDED` may be absent.
        turned: weights stored the other way round.
    """

    name: str
    weights: str
    config: str
    tensors: Mapping[Weight, str]
    turned: frozenset[Weight] = frozenset()


def _names(**tensors: str) -> Mapping[Weight, str]:
    return MappingProxyType(tensors)  # type: ignore[arg-type]


_UPPER = {"encoder": "W_enc", "encoder_bias": "b_enc", "decoder": "W_dec", "decoder_bias": "b_dec"}

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "SAE Lens",
        "sae_weights.safetensors",
        "cfg.json",
        _names(**_UPPER, threshold="threshold", skip="W_skip", scale="scaling_factor"),
        frozenset({"encoder"}),
    ),
    Layout(
        "Gemma Scope",
        "params.npz",
        "",
        _names(**_UPPER, threshold="threshold"),
        frozenset({"encoder"}),
    ),
    Layout(
        "Gemma Scope 2",
        "params.safetensors",
        "config.json",
        _names(
            encoder="w_enc",
            encoder_bias="b_enc",
            decoder="w_dec",
            decoder_bias="b_dec",
            threshold="threshold",
            skip="affine_skip_connection",
        ),
        frozenset({"encoder", "skip"}),
    ),
    Layout(
        "sparsify",
        "sae.safetensors",
        "cfg.json",
        _names(
            encoder="encoder.weight",
            encoder_bias="encoder.bias",
            decoder="W_dec",
            decoder_bias="b_dec",
            skip="W_skip",
        ),
    ),
    Layout(
        "Llama Scope",
        "checkpoints/final.safetensors",
        "hyperparams.json",
        _names(
            encoder="encoder.weight",
            encoder_bias="encoder.bias",
            decoder="decoder.weight",
            decoder_bias="decoder.bias",
        ),
        frozenset({"decoder"}),
    ),
    Layout(
        "circuit-tracer",
        "layer_*.safetensors",
        "config.yaml",
        _names(**_UPPER, threshold="activation_function.threshold", skip="W_skip", k="k"),
    ),
)
"""A further layout is a further row."""
