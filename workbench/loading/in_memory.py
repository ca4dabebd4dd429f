"""Read all weights of a model into the memory of one device, of several, or of several processes,
quantised on the way where a scheme asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from workbench.loading.tensor_parallel import splitting_options
from workbench.models.dispatch import dispatch_model
from workbench.models.dtype import checkpoint_dtype
from workbench.models.quantisation import Method
from workbench.models.quantise import Scheme, allow_training
from workbench.models.source import ModelSource, is_cached
from workbench.models.weights import Kernel, kernel_for, read_model


def read_in_memory(
    spec: str,
    source: ModelSource,
    config: Any,
    *,
    dtype: torch.dtype,
    device: torch.device,
    attention: Kernel,
    scheme: Scheme | None,
    method: Method | None,
    precision: str,
    trust_remote_code: bool,
    places: Mapping[str, Any] | None = None,
    split: bool = False,
) -> Any:
    """Return the transformers model at ``source`` in evaluation mode, frozen.

    Args:
        scheme: in which plain weights are quantised while they are read.
        method: by which the checkpoint's weights are quantised already.
        precision: of the model's matrix products.
        places: the device of every part, where they lie on several; None for ``device``.
        split: over the processes of the launcher, each of which reads its share.
    """
    options: dict[str, Any] = {
        "trust_remote_code": trust_remote_code,
        "revision": source.revision,
    }
    if scheme is not None:
        options["quantization_config"] = scheme.config(dtype)
    if scheme is not None or method is not None:
        # Quantised weights are made where they stay: some cannot be moved afterwards.
        options["device_map"] = {"": device}
    if places is not None:
        options["device_map"] = dict(places)
    if split:
        options |= splitting_options()
    model = read_model(
        spec,
        source.place,
        quiet=source.local or is_cached(source),
        mapped=scheme is None
        and precision == "float32"
        and (method is not None or checkpoint_dtype(config) == dtype),
        config=config,
        dtype=dtype,
        attn_implementation=kernel_for(config, attention),
        use_safetensors=True,
        **options,
    )
    if scheme is None and method is None:
        model = model if places is not None or split else model.to(device)
    elif not model.is_quantized:
        # Of a checkpoint that is widened, transformers converts the quantised weights alone.
        model = model.to(dtype)
    if places is not None and len(set(places.values())) > 1:
        model = dispatch_model(model, places)
    model = model.eval().requires_grad_(False)
    if scheme is not None:
        allow_training(model)
    return model
