"""Tiny dictionaries of features: drawn weights, and files of them in each published layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from workbench.features.activation import Activation
from workbench.features.dictionary import Dictionary
from workbench.trace.sites import Component, Site

WIDTH, FEATURES, K = 32, 48, 6


@dataclass(frozen=True, eq=False)
class Weights:
    """Encoder [features, width], decoder [features, width], their biases, thresholds and a skip."""

    encoder: Tensor
    encoder_bias: Tensor
    decoder: Tensor
    decoder_bias: Tensor
    threshold: Tensor
    skip: Tensor


def draw_weights(width: int = WIDTH, features: int = FEATURES, seed: int = 0) -> Weights:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return Weights(
        draw(features, width) / width**0.5,
        draw(features) / 10,
        draw(features, width) / width**0.5,
        draw(width) / 10,
        draw(features).abs() / 10,
        draw(width, width) / width,
    )


def make_dictionary(
    layer: int = 1,
    component: Component = "resid_post",
    source: Component | None = None,
    kind: Any = "jumprelu",
    *,
    width: int = WIDTH,
    features: int = FEATURES,
    seed: int = 0,
    **further: Any,
) -> Dictionary:
    """A dictionary of drawn weights at a component of a layer."""
    drawn = draw_weights(width, features, seed)
    threshold = {"jumprelu": drawn.threshold, "batch_topk": torch.tensor([0.05])}.get(kind)
    return Dictionary(
        f"drawn {kind}",
        Site(layer, component),
        source,
        drawn.encoder,
        drawn.encoder_bias,
        drawn.decoder,
        drawn.decoder_bias,
        Activation(kind, threshold, K if kind == "topk" else 0),
        **further,
    )


def save_sae_lens(folder: Path, drawn: Weights, **config: Any) -> Path:
    """SAE Lens: encoder [width, features]."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": drawn.encoder.T.contiguous(),
        "b_enc": drawn.encoder_bias,
        "W_dec": drawn.decoder,
        "b_dec": drawn.decoder_bias,
    }
    architecture = config.get("architecture", "standard")
    if "jumprelu" in architecture:
        tensors["threshold"] = drawn.threshold
    if "skip" in architecture:
        tensors["W_skip"] = drawn.skip
    if "batchtopk" in architecture:
        tensors["threshold"] = torch.tensor(0.05)
    save_file(tensors, folder / "sae_weights.safetensors")
    settings = {"d_in": WIDTH, "d_sae": FEATURES, "hook_name": "blocks.1.hook_resid_post", **config}
    (folder / "cfg.json").write_text(json.dumps(settings))
    return folder


def save_gemma_scope(folder: Path, drawn: Weights) -> Path:
    """Gemma Scope: params.npz, encoder [width, features], nothing beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / "params.npz",
        W_enc=drawn.encoder.T.numpy(),
        b_enc=drawn.encoder_bias.numpy(),
        W_dec=drawn.decoder.numpy(),
        b_dec=drawn.decoder_bias.numpy(),
        threshold=drawn.threshold.numpy(),
    )
    return folder


def save_gemma_scope_2(folder: Path, drawn: Weights, skip: bool = False, **config: Any) -> Path:
    """Gemma Scope 2: small names, encoder and skip the other way round."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "w_enc": drawn.encoder.T.contiguous(),
        "b_enc": drawn.encoder_bias,
        "w_dec": drawn.decoder,
        "b_dec": drawn.decoder_bias,
        "threshold": drawn.threshold,
    }
    if skip:
        tensors["affine_skip_connection"] = drawn.skip.T.contiguous()
    save_file(tensors, folder / "params.safetensors")
    settings = {
        "architecture": "jump_relu",
        "hf_hook_point_in": "model.layers.1.output",
        "hf_hook_point_out": "model.layers.1.output",
        **config,
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def save_sparsify(folder: Path, drawn: Weights, skip: bool = False, **config: Any) -> Path:
    """sparsify: encoder as torch's linear layers hold it; the folder's name is the hook point."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "encoder.weight": drawn.encoder,
        "encoder.bias": drawn.encoder_bias,
        "W_dec": drawn.decoder,
        "b_dec": drawn.decoder_bias,
    }
    if skip:
        tensors["W_skip"] = drawn.skip
    save_file(tensors, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"k": K, "d_in": WIDTH, **config}))
    return folder


def save_llama_scope(folder: Path, drawn: Weights, **config: Any) -> Path:
    """Llama Scope: both matrices as torch's linear layers hold them, weights a folder below."""
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    tensors = {
        "encoder.weight": drawn.encoder,
        "encoder.bias": drawn.encoder_bias,
        "decoder.weight": drawn.decoder.T.contiguous(),
        "decoder.bias": drawn.decoder_bias,
    }
    save_file(tensors, folder / "checkpoints" / "final.safetensors")
    settings = {
        "hook_point_in": "blocks.1.hook_resid_post",
        "hook_point_out": "blocks.1.hook_resid_post",
        "act_fn": "jumprelu",
        "jump_relu_threshold": 0.1,
        "top_k": 50,
        "d_model": WIDTH,
        "norm_activation": "dataset-wise",
        "dataset_average_activation_norm": {"in": 4.0, "out": 4.0},
        "sparsity_include_decoder_norm": True,
        **config,
    }
    (folder / "hyperparams.json").write_text(json.dumps(settings))
    return folder


def save_circuit_tracer(folder: Path, drawn: Weights, layer: int = 1, **config: Any) -> Path:
    """circuit-tracer: a file a layer, both matrices with features first."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        "W_enc": drawn.encoder,
        "b_enc": drawn.encoder_bias,
        "W_dec": drawn.decoder,
        "b_dec": drawn.decoder_bias,
        "W_skip": drawn.skip,
    }
    file = folder / f"layer_{layer}.safetensors"
    save_file(tensors, file)
    settings = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out"}
    lines = [f"{name}: {value}" for name, value in {**settings, **config}.items()]
    (folder / "config.yaml").write_text("\n".join(lines))
    return file


SAVERS: dict[str, Callable[..., Path]] = {
    "SAE Lens": save_sae_lens,
    "Gemma Scope 2": save_gemma_scope_2,
    "sparsify": save_sparsify,
    "Llama Scope": save_llama_scope,
    "circuit-tracer": save_circuit_tracer,
}
