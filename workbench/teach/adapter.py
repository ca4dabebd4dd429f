"""Create LoRA adapters on a base model, save them in PEFT's format, load and switch them.

An adapter that acts on a prompt's last tokens (see :mod:`workbench.models.invocation`) is saved
with PEFT's ``alora_invocation_tokens``, so that plain PEFT applies it to the same tokens.

There is one set of base weights. The tuned run is the model with the adapter on, the base run the
same object inside :func:`workbench.models.adapter_switch.adapter_off`; two models are never held.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from workbench.compat import forget_adapters
from workbench.compat_processes import hidden_mesh
from workbench.config import LoraSettings
from workbench.errors import WorkbenchError
from workbench.files.local_names import local_name
from workbench.models import LanguageModel
from workbench.models.plain_weights import is_linear
from workbench.models.server import require_weights_here
from workbench.models.sharing import sharing
from workbench.stream.model import weights_in_shape
from workbench.teach.adapter_kind import require_switchable
from workbench.teach.split_adapter import join_split_layers, release_base_layers


def add_adapter(lm: LanguageModel, settings: LoraSettings, start_layer: int = 0) -> LanguageModel:
    """Add a new LoRA adapter to the model, in the layers from ``start_layer`` on; the base weights
    stay frozen.

    Raises:
        WorkbenchError: for modules or a start layer the model does not have.
    """
    require_weights_here(lm, "an adapter")
    _require_plain(lm)
    if not 0 <= start_layer < lm.n_layers:
        raise WorkbenchError(
            f"The adapter is to begin at layer {start_layer}; the model has layers 0 to "
            f"{lm.n_layers - 1}, so set "
            "teach.start_layer to one of them."
        )
    linear = {
        name.rpartition(".")[2]: type(module)
        for name, module in lm.base().named_modules()
        if is_linear(module)
    }
    missing = [module for module in settings.target_modules if module not in linear]
    if missing:
        raise WorkbenchError(
            f"The {lm.architecture.family} model has no linear modules named {', '.join(missing)}; "
            f"set teach.lora.target_modules to some of {', '.join(sorted(linear))}."
        )
    _refuse_shared(lm, settings.target_modules)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        fan_in_fan_out=any(linear[module] is Conv1D for module in settings.target_modules),
        target_modules=list(settings.target_modules),
        layers_to_transform=list(range(start_layer, lm.n_layers)) if start_layer else None,
        layers_pattern=lm.architecture.layers.rpartition(".")[2] if start_layer else None,
        exclude_modules=_outside_text(lm, settings.target_modules),
        task_type="CAUSAL_LM",
    )
    with weights_in_shape(lm), hidden_mesh(lm.base()):
        tuned = lm.with_model(get_peft_model(lm.base(), config))
    return join_split_layers(tuned)


def _outside_text(lm: LanguageModel, modules: Sequence[str]) -> str | None:
    """Return a pattern of the paths outside the text model, where there are ``modules`` too: those
    for images and sound, which the residual stream says nothing of.
    """
    inside = (f"{lm.architecture.decoder}.", lm.architecture.head)
    others = [
        name
        for name, module in lm.base().named_modules()
        if is_linear(module) and name.rpartition(".")[2] in modules and not name.startswith(inside)
    ]
    return rf"(?!{re.escape(inside[0])}|{re.escape(inside[1])}$).*" if others else None


def initialise_from(lm: LanguageModel, folder: Path) -> None:
    """Copy a saved adapter's weights into the model's adapter, which must have the same shape.

    Raises:
        WorkbenchError: where modules, layers or ranks differ, and for files that cannot be read or
            hold no numbers.
    """
    weights = _read_weights(folder)
    own = {name: value.shape for name, value in get_peft_model_state_dict(lm.model).items()}
    if own != {name: value.shape for name, value in weights.items()}:
        raise WorkbenchError(
            f"The adapter in {folder} has other modules, layers or ranks than the one to be "
            "trained; give both the same teach.lora "
            "and teach.start_layer."
        )
    set_peft_model_state_dict(lm.model, weights)


def load_adapter(lm: LanguageModel, folder: Path) -> LanguageModel:
    """Load a saved adapter; return the model with it on, for inference.

    Raises:
        WorkbenchError: for folders without an adapter, files that are damaged or hold no numbers,
            adapters of another model, and those that cannot be switched off.
    """
    if not (folder / "adapter_config.json").exists():
        raise WorkbenchError(
            f"There is no adapter in {folder}; give a folder written by PEFT's save_pretrained."
        )
    require_weights_here(lm, "an adapter")
    _require_plain(lm)
    weights = _read_weights(folder)
    try:
        require_switchable(folder)
        with (
            warnings.catch_warnings(record=True) as said,
            weights_in_shape(lm),
            hidden_mesh(lm.base()),
        ):
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(lm.base(), folder, is_trainable=False)
        if any("missing adapter keys" in str(warning.message) for warning in said):
            raise WorkbenchError(
                f"The adapter in {folder} lacks weights that its adapter_config.json asks for; "
                "save it again."
            )
        held = get_peft_model_state_dict(model, save_embedding_layers=_has_embedding(model))
        loaded = {name.replace("base_model.model.", "") for name in held}
        strange = sorted(
            name for name in weights if name.replace("base_model.model.", "") not in loaded
        )
        if strange:
            raise WorkbenchError(
                f"The adapter in {folder} has weights that this model has no place for "
                f"({strange[0]}); load the model it was trained on."
            )
    except (
        Exception
    ) as error:  # PEFT, torch and json each have errors of their own for what does not fit
        _take_out(lm)
        if isinstance(error, WorkbenchError):
            raise
        raise WorkbenchError(
            f"The adapter in {folder} does not fit this model or its adapter_config.json is "
            "damaged "
            f"({type(error).__name__}: {(str(error).strip() or '?').splitlines()[0][:200]}); load "
            "the model it was trained on, or save the "
            "adapter again."
        ) from error
    invocation = getattr(model.active_peft_config, "alora_invocation_tokens", None)
    return join_split_layers(lm.with_model(model.eval(), len(invocation) if invocation else None))


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """Read an adapter's weights, which must all be finite.

    Raises:
        WorkbenchError: for files that are missing or damaged, and weights that are not finite.
    """
    path = folder / "adapter_model.safetensors"
    mend = "copy the folder again, or run the teaching anew"
    if not path.is_file():
        raise WorkbenchError(
            f"The adapter in {folder} lacks {path.name} (pickled weights are never read); {mend}."
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WorkbenchError(f"{path} is damaged ({error}); {mend}.") from error
    broken = sorted(
        name for name, value in weights.items() if not bool(torch.isfinite(value).all())
    )
    if broken:
        raise WorkbenchError(
            f"{path} holds NaN or infinity in {broken[0]}, so the model would compute nothing; "
            f"{mend}."
        )
    return weights


def _take_out(lm: LanguageModel) -> None:
    """Remove the parts of an adapter that a failed load left in the base model."""
    base = lm.base()
    release_base_layers(base)
    for name, module in list(base.named_modules()):
        if isinstance(module, LoraLayer):
            parent, _, last = name.rpartition(".")
            setattr(base.get_submodule(parent), last, module.get_base_layer())
    if hasattr(base, "peft_config"):
        del base.peft_config
    forget_adapters(base)


def _refuse_shared(lm: LanguageModel, modules: Sequence[str]) -> None:
    """Refuse an adapter on weights that another module uses too.

    Raises:
        WorkbenchError: if another module uses them.
    """
    for name, others in sharing(lm.base()).items():
        if name.rpartition(".")[2] in modules:
            raise WorkbenchError(
                f"teach.lora.target_modules names {name.rpartition('.')[2]}, whose weights are "
                f"those of {others[0]} too (the model ties "
                "them), so an adapter on it could not be merged without changing both; leave it "
                "out."
            )


def save_adapter(lm: LanguageModel, folder: Path, invocation: Sequence[int] | None) -> None:
    """Save the model's adapter, to act on every token, or on the tokens ``invocation`` at a
    prompt's end and what follows them.
    """
    config = lm.model.active_peft_config
    config.alora_invocation_tokens = list(invocation) if invocation else None
    # Adapters are shared: of a model on this machine only the last part of its path is written.
    if config.base_model_name_or_path is not None:
        config.base_model_name_or_path = local_name(str(config.base_model_name_or_path))
    card = folder / "README.md"
    own_card = card.exists()
    lm.model.save_pretrained(folder, save_embedding_layers=_has_embedding(lm.model))
    if not own_card:
        card.unlink(
            missing_ok=True
        )  # PEFT's says the folder and, of everything else, that it is missing


def _has_embedding(model: PeftModel) -> bool:
    """Return whether the adapter acts on the token embedding or the output head, which PEFT then
    saves with it. It would search the base model's files for its vocabulary to find out.
    """
    targets = model.active_peft_config.target_modules or ()
    return any(name in targets for name in ("lm_head", "embed_tokens"))


def remove_adapter(lm: LanguageModel) -> LanguageModel:
    """Remove the adapter's modules; return the base model."""
    release_base_layers(lm.base())
    if not isinstance(lm.model, PeftModel):
        return lm
    with weights_in_shape(lm):
        return lm.with_model(lm.model.unload())


def _require_plain(lm: LanguageModel) -> None:
    """Refuse a model that has an adapter. PEFT puts an adapter into the base module itself, so a
    second one would be applied on top of the first.

    Raises:
        WorkbenchError: if it has one.
    """
    if getattr(lm.base(), "peft_config", None):
        raise WorkbenchError(
            "The model carries an adapter already; take it out with remove_adapter first."
        )
