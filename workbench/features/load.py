"""Load a dictionary of features from a published layout, without running anything that lies in it.

Files are safetensors, or numpy's npz opened without pickle. Files that are pickles (.pt, .pth,
.bin) are refused. What a release keeps apart is folded into the weights: a factor on all states,
lengths of decoder rows that the rule looks at, the gain of a norm that a hook point leaves out.

Nothing here shows that the dictionary belongs to the model it is used on: only layers and widths
are compared. The share of the states that it does not explain is what tells
(:func:`workbench.features.record.record_features`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.features.activation import Activation
from workbench.features.dictionary import Dictionary
from workbench.features.folding import fold_scales, with_gain
from workbench.features.hook_names import HookName
from workbench.features.layouts import LAYOUTS, NEEDED, Layout, Weight
from workbench.features.trained_as import READERS, TrainedAs
from workbench.trace.sites import Component, Site

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".ckpt")


def load_dictionary(
    path: str | Path,
    *,
    site: Site | None = None,
    source: Component | None = None,
    gain: Tensor | None = None,
    input_scale: float | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Dictionary:
    """Load a dictionary from its folder, or from one file of weights in it.

    Args:
        path: the folder, as downloaded.
        site: what is written, where the files do not say or say it wrongly.
        source: what a transcoder reads; None for what the files say, which of an autoencoder is the
            site itself.
        gain: [width] what the norm before the MLP multiplies by (1 + its weight for Gemma), for
            dictionaries of ``ln2.hook_normalized``, which leaves it out.
        input_scale: the number that states were multiplied by in training, for dictionaries whose
            configuration names one and does not hold it.
        dtype: of the weights; float32 makes them exact, bfloat16 halves their memory.

    Raises:
        WorkbenchError: for a path without a known layout, with what was found there; for pickles;
            for weights that are missing, of another shape or not finite; and for a site, gain or
            scale that is needed and not given.
    """
    folder, file, layout = _find(Path(path))
    weights = _read(file, layout)
    trained = READERS[layout.name](_config(folder, layout), folder)
    trained = _with_numbers(trained, weights)
    written, read = _sites(trained, file, site, source)
    parts = {name: _turned(name, tensor, layout, dtype) for name, tensor in weights.items()}
    _require_finite(parts, file)
    threshold = parts.pop("threshold", None)
    if threshold is None and trained.threshold is not None:
        threshold = torch.tensor([trained.threshold])
    if threshold is not None:
        threshold = threshold.float().reshape(-1)
    parts = fold_scales(parts, trained, input_scale, file)
    centre = parts["decoder_bias"].clone() if trained.centred else None
    threshold = threshold if trained.kind in ("jumprelu", "batch_topk") else None
    rule = Activation(trained.kind, threshold, trained.k if trained.kind == "topk" else 0)
    found = Dictionary(
        f"{layout.name} {folder.name}",
        written,
        read,
        parts["encoder"],
        parts["encoder_bias"],
        parts["decoder"],
        parts["decoder_bias"],
        rule,
        centre,
        parts.get("skip"),
        trained.normalisation,
    )
    return with_gain(found, trained, gain, source is not None).to(torch.device(device))


def _find(path: Path) -> tuple[Path, Path, Layout]:
    """Return a dictionary's folder, its file of weights and its layout."""
    if path.suffix in PICKLES:
        raise WorkbenchError(
            f"{path.name} is a pickle, which can run code when it is opened; save its tensors as "
            "safetensors first."
        )
    if not path.exists():
        raise WorkbenchError(f"There is no dictionary at {path}; give its folder, as downloaded.")
    folders = [path] if path.is_dir() else [path.parent, path.parent.parent]
    for layout in LAYOUTS:
        for folder in folders:
            files = sorted(folder.glob(layout.weights))
            mine = files if path.is_dir() else [file for file in files if file == path]
            if not mine or not _has_names(mine[0], layout):
                continue
            if (
                layout.config
                and not (folder / layout.config).exists()
                and "*" not in layout.weights
            ):
                continue
            if len(mine) > 1:
                raise WorkbenchError(
                    f"{folder} holds {len(mine)} layers, {mine[0].name} to {mine[-1].name}; name "
                    "the file of one."
                )
            return folder, mine[0], layout
    raise WorkbenchError(_nothing_known(path))


def _has_names(file: Path, layout: Layout) -> bool:
    names = _tensor_names(file)
    return all(layout.tensors[weight] in names for weight in NEEDED)


def _nothing_known(path: Path) -> str:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    seen = [str(p.relative_to(path)) if path.is_dir() else p.name for p in files][:8]
    weights = [p for p in files if p.suffix in (".safetensors", ".npz")][:1]
    inside = (
        f" with the tensors {', '.join(sorted(_tensor_names(weights[0]))[:8])}" if weights else ""
    )
    pickles = any(p.suffix in PICKLES for p in files)
    mend = " Pickles are not opened; save their tensors as safetensors." if pickles else ""
    known = ", ".join(f"{row.name} ({row.weights})" for row in LAYOUTS)
    return (
        f"{path} has no known layout of a dictionary: it holds {', '.join(seen) or 'nothing'}"
        f"{inside}. Known are {known}.{mend}"
    )


def _tensor_names(file: Path) -> set[str]:
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as held:
                return {*held.files}
        with safe_open(file, framework="pt") as kept:
            return {*kept.keys()}
    except (OSError, ValueError, SafetensorError) as error:
        raise WorkbenchError(f"{file} cannot be read ({error}); download it again.") from error


def _read(file: Path, layout: Layout) -> dict[Weight, Tensor]:
    there = _tensor_names(file)
    wanted = {weight: name for weight, name in layout.tensors.items() if name in there}
    if file.suffix == ".npz":
        try:
            with np.load(file, allow_pickle=False) as held:
                return {weight: torch.from_numpy(held[name]) for weight, name in wanted.items()}
        except (ValueError, TypeError) as error:
            raise WorkbenchError(
                f"{file.name} holds something other than arrays of numbers ({error}), which is not "
                "opened."
            ) from error
    with safe_open(file, framework="pt") as kept:
        return {weight: kept.get_tensor(name) for weight, name in wanted.items()}


def _config(folder: Path, layout: Layout) -> Mapping[str, Any]:
    file = folder / layout.config
    if not layout.config or not file.exists():
        return {}
    text = file.read_text(encoding="utf-8")
    try:
        read = yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise WorkbenchError(f"{file} is no configuration ({error}); download it again.") from error
    if not isinstance(read, dict):
        raise WorkbenchError(f"{file} is no configuration; download it again.")
    return read


def _with_numbers(trained: TrainedAs, weights: dict[Weight, Tensor]) -> TrainedAs:
    """Return the rule with what the file of weights says of it."""
    k = weights.pop("k", None)
    if k is not None:
        return replace(trained, kind="topk", k=int(k))
    if "threshold" in weights and trained.kind == "relu":
        return replace(trained, kind="jumprelu")
    return trained


def _sites(
    trained: TrainedAs, file: Path, site: Site | None, source: Component | None
) -> tuple[Site, Component | None]:
    read = source or (trained.read.component if trained.read else None)
    if site is not None:
        return site, None if read == site.component else read
    if trained.written is None:
        raise WorkbenchError(
            f"The files of {file.name} do not say what the dictionary writes; give site=, such as "
            "Site(12, 'resid_post'), and source='mlp_in' for a transcoder."
        )
    layer = trained.written.layer
    if layer is None:
        named = re.search(r"layer_(\d+)", file.name)
        if named is None:
            raise WorkbenchError(f"{file.name} does not say its layer; give site=.")
        layer = int(named[1])
    _require_one_layer(trained.read, layer, file)
    return Site(layer, trained.written.component), read


def _require_one_layer(read: HookName | None, layer: int, file: Path) -> None:
    if read is not None and read.layer not in (None, layer):
        raise WorkbenchError(
            f"{file.name} reads layer {read.layer} and writes layer {layer}; transcoders across "
            "layers are not read here."
        )


def _turned(name: Weight, tensor: Tensor, layout: Layout, dtype: torch.dtype) -> Tensor:
    turned = tensor.T if name in layout.turned and tensor.dim() == 2 else tensor
    return turned.to(torch.float32 if name == "threshold" else dtype).contiguous()


def _require_finite(parts: Mapping[Weight, Tensor], file: Path) -> None:
    for name, tensor in parts.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WorkbenchError(
                f"The {name} in {file.name} has NaN or infinite entries; download it again."
            )
