"""Hold a causal language model with its tokenizer and the places of its parts.

A :class:`LanguageModel` is what every other part of the package receives. It holds the Hugging Face
module itself, never a wrapper of its layers. A module is found by its path each time it is asked
for, so the same code serves a model that gained LoRA adapters (``with_model(peft_model)``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any, Literal

import torch
from peft import PeftModel

from workbench.compat import execution_device
from workbench.errors import WorkbenchError
from workbench.models.architectures import Architecture
from workbench.models.server import server_of


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A causal language model: ``model`` is a transformers causal LM or a PEFT model around one.

    ``revision`` fingerprints the weights. ``name`` is how the model was asked for (hub id, folder,
    "default") and is for display. ``invocation_length`` is how many of a prompt's last tokens the
    model's adapter acts on, besides all that follow them; None: every token. ``notes`` say what had
    to be done to the model's chat template. ``warned`` holds what a user has been told of this
    model, with or without adapters, so that it is told once.
    """

    model: Any
    tokenizer: Any
    architecture: Architecture
    name: str
    revision: str
    invocation_length: int | None = None
    notes: tuple[str, ...] = ()
    warned: set[str] = field(default_factory=set, repr=False)

    @property
    def config(self) -> Any:
        """The text model's configuration."""
        return self.base().config.get_text_config()

    @cached_property
    def n_layers(self) -> int:
        """Number of decoder layers."""
        return len(self.layers())

    @cached_property
    def width(self) -> int:
        """Size of the residual stream: of all streams where layers pass on several."""
        return self.architecture.width

    @cached_property
    def n_heads(self) -> int:
        """Number of query heads in a layer, over all processes of a tensor-parallel model."""
        return self.architecture.heads

    @cached_property
    def n_key_value_heads(self) -> int:
        """Number of key-value heads in a layer, over all processes; query heads share them."""
        return self.architecture.key_value_heads

    @cached_property
    def mlp_width(self) -> int:
        """Number of neurons in a layer's MLP, over all processes."""
        return self.architecture.neuron_count

    @cached_property
    def head_size(self) -> int:
        """Width of one head's output, a slice of the output projection's input."""
        return self.architecture.head_size

    @property
    def device(self) -> torch.device:
        """The device token ids must be on: that on which the token embedding computes, the CPU for
        a model on a server.
        """
        if server_of(self) is not None:
            return torch.device("cpu")
        embedding = self.embedding()
        if embedding.weight.device.type != "meta":
            return embedding.weight.device
        # Weights kept in memory or on disk by a device map are loaded for each use; the hook says
        # where.
        return torch.device(execution_device(embedding))

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """The precision in which all passes compute matrix products; see
        :mod:`workbench.models.precision`.
        """
        return getattr(self.base(), "computes_in", "float32")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the token embedding, and so of the residual stream outside autocast."""
        return self.embedding().weight.dtype

    def base(self) -> Any:
        """Return the transformers causal LM, with adapters injected if ``model`` is a PEFT
        model.
        """
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def decoder(self) -> Any:
        """Return the transformer below the head; its ``last_hidden_state`` is taken after the final
        norm.
        """
        return self.base().get_submodule(self.architecture.decoder)

    def layers(self) -> list[torch.nn.Module]:
        """Return the decoder layers, first to last."""
        return list(self.base().get_submodule(self.architecture.layers))

    def embedding(self) -> Any:
        """Return the token embedding, its ``weight`` is [vocabulary, width]."""
        return self.base().get_submodule(self.architecture.embedding)

    def final_norm(self) -> torch.nn.Module:
        """Return the norm between the last layer and the head; the identity where there is none.

        Raises:
            WorkbenchError: where more than one module stands there.
        """
        path = self.architecture.final_norm
        if path is None:
            raise WorkbenchError(
                f"between the last layer of {self.architecture.family} and its head stands more "
                "than one module, so no state below can be read as logits: leave out what reads "
                "states through the head"
            )
        return self.base().get_submodule(path) if path else torch.nn.Identity()

    def before_head(self) -> torch.nn.Module:
        """Return the module between the decoder's last hidden state and the head; the identity
        where there is none.
        """
        path = self.architecture.before_head
        return self.base().get_submodule(path) if path else torch.nn.Identity()

    def head(self) -> torch.nn.Module:
        """Return the linear map from the normed hidden state to the vocabulary; see
        :mod:`workbench.models.unembed`.
        """
        return self.base().get_submodule(self.architecture.head)

    def with_model(self, model: Any, invocation: int | None = None) -> LanguageModel:
        """Return a copy around another module of the same family, such as the same weights with an
        adapter that acts on the last ``invocation`` tokens.
        """
        return replace(self, model=model, invocation_length=invocation)

    def _repr_html_(self) -> str:
        said = (
            f"{self.architecture.family}, {self.n_layers} layers of width {self.width}, "
            f"{self.n_heads} heads, weights in {str(self.dtype).removeprefix('torch.')}, "
            f"{self.device}"
        )
        return f"<p><b>{escape(self.name)}</b>: {escape(said)}</p>"
