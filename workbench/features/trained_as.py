"""Read from a layout's configuration how a dictionary was trained: where, by which rule, at which
scale.

One function a layout, since each configuration has its own words; what they return is the same for
all. What a configuration leaves open has to be said by the person who loads the dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.features.activation import Kind
from workbench.features.hook_names import HookName, read_hook_name
from workbench.features.normalisation import Normalisation

Config = Mapping[str, Any]


@dataclass(frozen=True)
class TrainedAs:
    """How a dictionary was trained.

    Attributes:
        written: the hook point it writes; None where the files do not say.
        read: the hook point a transcoder reads; None for autoencoders.
        kind: the rule by which features are active.
        k, threshold: of the rule, where they are in the configuration.
        centred: whether the decoder's bias is taken from a state before the encoder.
        needs_input_scale: whether states were multiplied by one number that the files do not hold.
        dataset_scales: factors by which read and written states were multiplied in training, the
            threshold being compared with activations in the units of plain states.
        by_decoder_norm: whether activations are multiplied by their decoder rows' lengths before
            the rule is applied.
    """

    written: HookName | None
    read: HookName | None
    kind: Kind
    k: int = 0
    threshold: float | None = None
    centred: bool = False
    normalisation: Normalisation = "none"
    needs_input_scale: bool = False
    dataset_scales: tuple[float, float] | None = None
    by_decoder_norm: bool = False


RULES: dict[str, Kind] = {
    "standard": "relu",
    "relu": "relu",
    "jumprelu": "jumprelu",
    "jump_relu": "jumprelu",
    "topk": "topk",
    "batchtopk": "batch_topk",
    "matryoshka_batchtopk": "batch_topk",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
"""The rules of what releases call an architecture or an activation."""

SAE_LENS_NORMS: dict[Any, Normalisation] = {
    None: "none",
    False: "none",
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
}
ONE_FACTOR = (True, "expected_average_only_in")


def _rule(name: Any) -> Kind:
    if name not in RULES:
        raise WorkbenchError(
            f"Features of the kind {name!r} are not read here; known are {', '.join(RULES)}."
        )
    return RULES[name]


def sae_lens(config: Config, folder: Path) -> TrainedAs:
    """Read SAE Lens' cfg.json, of version 6 or before it."""
    meta = {**config, **config.get("metadata", {})}
    architecture = config.get("architecture", "standard")
    kind = _rule(architecture)
    written, read = meta.get("hook_name") or meta.get("hook_point"), None
    transcodes = "transcoder" in architecture
    if transcodes:
        read, written = written, meta.get("hook_name_out")
    function = config.get("activation_fn", config.get("activation_fn_str", "relu"))
    k = config.get("k", config.get("activation_fn_kwargs", {}).get("k", 0))
    if kind == "relu" and function != "relu":
        kind = _rule(function)
    norm = config.get("normalize_activations")
    if norm not in SAE_LENS_NORMS and norm not in ONE_FACTOR:
        raise WorkbenchError(
            f"Activations normalised by {norm!r} are not read here; known are "
            f"{', '.join(str(n) for n in SAE_LENS_NORMS)}."
        )
    normalisation: Normalisation = SAE_LENS_NORMS.get(norm, "none")
    if transcodes and normalisation != "none":
        raise WorkbenchError(f"A transcoder of states normalised by {norm!r} is not read here.")
    return TrainedAs(
        _hook(written),
        _hook(read),
        kind,
        int(k) if kind == "topk" else 0,
        centred=bool(config.get("apply_b_dec_to_input", True)) and not transcodes,
        normalisation=normalisation,
        needs_input_scale=norm in ONE_FACTOR,
        by_decoder_norm=bool(config.get("rescale_acts_by_decoder_norm", False)),
    )


def gemma_scope(config: Config, folder: Path) -> TrainedAs:
    """Read from the path of Gemma Scope's params.npz what its release and folder say."""
    layer = next((f[1] for part in folder.parts if (f := _LAYER.fullmatch(part))), None)
    release = next((f[1] for part in folder.parts if (f := _RELEASE.fullmatch(part))), None)
    if layer is None or release is None:
        return TrainedAs(None, None, "jumprelu")
    written, read = GEMMA_SCOPE[release]
    place = f"blocks.{layer}"
    return TrainedAs(_hook(f"{place}.{written}"), _hook(read and f"{place}.{read}"), "jumprelu")


GEMMA_SCOPE: dict[str, tuple[str, str]] = {
    "res": ("hook_resid_post", ""),
    "mlp": ("hook_mlp_out", ""),
    "transcoders": ("hook_mlp_out", "ln2.hook_normalized"),
}
_LAYER = re.compile(r"layer_(\d+)")
_RELEASE = re.compile(rf".*gemma-scope-.*-({'|'.join(GEMMA_SCOPE)})")


def gemma_scope_2(config: Config, folder: Path) -> TrainedAs:
    """Read Gemma Scope 2's config.json."""
    read, written = config.get("hf_hook_point_in"), config.get("hf_hook_point_out")
    transcodes = written not in (None, read)
    rule = _rule(config.get("architecture", "jump_relu"))
    return TrainedAs(_hook(written or read), _hook(read if transcodes else None), rule)


def sparsify(config: Config, folder: Path) -> TrainedAs:
    """Read sparsify's cfg.json; the hook point is the folder's name."""
    transcodes = bool(config.get("transcode", False))
    point: str | None = folder.name if re.fullmatch(r"layers\.\d+(\.mlp)?", folder.name) else None
    read = None
    if transcodes and point is not None:
        point, read = point.removesuffix(".mlp") + ".mlp", point.removesuffix(".mlp")
        read = f"{read}.pre_feedforward_layernorm.output"
    kind = _rule(config.get("activation", "topk"))
    return TrainedAs(
        _hook(point), _hook(read), kind, int(config.get("k", 32)), centred=not transcodes
    )


def llama_scope(config: Config, folder: Path) -> TrainedAs:
    """Read Llama Scope's hyperparams.json."""
    read, written = config["hook_point_in"], config["hook_point_out"]
    scales = None
    if config.get("norm_activation") == "dataset-wise":
        norms, length = config["dataset_average_activation_norm"], sqrt(config["d_model"])
        scales = length / norms["in"], length / norms["out"]
    kind = _rule(config.get("act_fn", "relu"))
    return TrainedAs(
        _hook(written),
        _hook(read if read != written else None),
        kind,
        int(config.get("top_k", 0)) if kind == "topk" else 0,
        config.get("jump_relu_threshold") if kind == "jumprelu" else None,
        centred=bool(config.get("apply_decoder_bias_to_pre_encoder", False)),
        dataset_scales=scales,
        by_decoder_norm=bool(config.get("sparsity_include_decoder_norm", False)),
    )


def circuit_tracer(config: Config, folder: Path) -> TrainedAs:
    """Read the config.yaml beside circuit-tracer's layers; the layer is in the file's name."""
    read, written = config.get("feature_input_hook"), config.get("feature_output_hook")
    return TrainedAs(_hook(written), _hook(read), _rule(config.get("activation", "relu")))


def _hook(name: str | None) -> HookName | None:
    return read_hook_name(name) if name else None


READERS: dict[str, Callable[[Config, Path], TrainedAs]] = {
    "SAE Lens": sae_lens,
    "Gemma Scope": gemma_scope,
    "Gemma Scope 2": gemma_scope_2,
    "sparsify": sparsify,
    "Llama Scope": llama_scope,
    "circuit-tracer": circuit_tracer,
}
"""Of each layout, the function that is given its configuration and the dictionary's folder."""
