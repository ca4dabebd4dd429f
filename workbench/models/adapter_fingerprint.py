"""Fingerprint a model as it runs: its weights, and the adapter that is on.

``LanguageModel.revision`` names the base weights alone, which an adapter leaves as they are. What
is fitted on the states of a taught model holds for that adapter only, so it carries this
fingerprint instead. With every adapter off it is the revision itself. It sees neither weights that
were changed in place nor an adapter merged into them; fit on the adapter switched on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from workbench.compat import version_of
from workbench.models.language_model import LanguageModel


def fingerprint_as_run(lm: LanguageModel) -> str:
    """Return the revision of the weights, followed by the SHA-256 of the adapter that is on: its
    weights, their factors, and on which tokens it acts.
    """
    digest = _hash_of(lm.base())
    if digest is None:
        return str(lm.revision)
    digest.update(f"{lm.invocation_length}".encode())
    return f"{lm.revision}+adapter-{digest.hexdigest()}"


def adapter_digest(layer: nn.Module) -> str | None:
    """Return the SHA-256 of the adapters that are on in a layer; None for none. It is computed
    again only where their weights have changed.
    """
    on = [part for _, module in _adapted(layer) for _, part in _parts(module)]
    stamp = tuple((part.data_ptr(), version_of(part)) for part in on if part.dim())
    if not stamp:
        return None
    known = _digests.get(layer)
    if known is None or known[0] != stamp:
        digest = _hash_of(layer)
        assert digest is not None
        known = _digests[layer] = (stamp, digest.hexdigest())
    return known[1]


_digests: WeakKeyDictionary[nn.Module, tuple[Any, str]] = WeakKeyDictionary()


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    for path, module in model.named_modules():
        if isinstance(module, BaseTunerLayer) and not module.disable_adapters:
            yield path, module


def _hash_of(model: nn.Module) -> Any:
    """Return the hash of the adapters that are on; None for none."""
    digest, found = hashlib.sha256(), False
    for path, module in _adapted(model):
        for name, part in _parts(module):
            found = True
            digest.update(f"{path}.{name}\0{part.dtype}{list(part.shape)}\0".encode())
            digest.update(_bytes_of(part))
    return digest if found else None


def _parts(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield what the active adapters of a module are made of. The adapter's own name is left out:
    the same weights under another name are the same adapter.
    """
    for order, adapter in enumerate(module.active_adapters):
        for kind in sorted(module.adapter_layer_names):
            held = getattr(module, kind, {})
            if adapter not in held:
                continue
            part = held[adapter]
            named = part.named_parameters() if isinstance(part, nn.Module) else [("", part)]
            for name, weight in named:
                yield f"{order}.{kind}.{name}", weight
        factor = getattr(module, "scaling", {}).get(adapter)
        if factor is not None:
            yield f"{order}.scaling", torch.tensor(float(factor), dtype=torch.float64)


def _bytes_of(part: Tensor) -> bytes:
    return part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
