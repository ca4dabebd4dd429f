"""Describe a model's parts: an architecture row, read off the model itself.

The workbench leaves a model the Hugging Face module it is and addresses its parts by path. A row
says where the decoder, its layers, the final norm, the token embedding and the head are, and inside
a layer the attention, the MLP and the attention's output projection. Model-level paths start at the
causal language model (``model.get_submodule(path)``), layer-level paths at the layer; an empty
layer-level path means that not every layer of the model has that part.

No family has a row of its own: :func:`workbench.models.structure.derive_architecture` reads a row
off the model, and what it claims is tested on real forwards when the model is loaded.

A layer adds two vectors to the residual stream. ``attention_added`` and ``mlp_added`` are the
modules whose output (a tensor, or a tuple that starts with one) times ``added_scale`` is what is
added: after a norm of its own where a family has one on that path. ``mid`` is the module whose
input is the stream between the two.

``packable`` says that many patched copies of a token can share one forward, because a layer mixes
positions through masked attention alone. It does not say anything about the quality of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.models.layer_output import Streams

Masks = Literal["one", "by_layer_type"]


@dataclass(frozen=True)
class Architecture:
    """The module paths and peculiarities of one model.

    ``query``, ``key`` and ``value`` are the modules whose outputs these are, one module where they
    are computed together: queries, keys and values one after another, or head by head
    (``joined_by_head``). ``neurons`` is the module that reads the MLP's hidden layer of
    ``neuron_count`` entries. ``heads`` counts query heads, of ``head_size`` numbers each; all
    counts are over all processes of a tensor-parallel model.

    ``final_norm`` stands between the last layer and the decoder's last hidden state: "" for no
    module, None for more than one. ``before_head`` stands between that and the head. The head's
    output z becomes the logits logit_scale * z, or with ``logit_softcap`` softcap *
    tanh(logit_scale * z / softcap).

    ``parallel`` says that attention and MLP read the same stream, so that there is nothing between
    them. ``width`` counts the numbers of the residual stream at a token, of all streams where
    layers pass on several (``streams``). ``returned`` counts what a layer returns in a tuple or
    list, 0 where it returns the stream alone. ``first_position`` is the position id of a row's
    first token. ``missing`` tells of components why the model has none. ``masks`` says whether the
    decoder takes one 4-D mask or a dict {layer type: mask}. ``independent`` says that a layer needs
    nothing of those below it but the residual stream, so that a pass can begin at any layer; layers
    that share keys and values do need more.

    Raises:
        WorkbenchError: for an empty path that every model needs, and where ``why_not`` and
            ``packable`` disagree.
    """

    family: str
    layers: str
    embedding: str
    head: str
    decoder: str = "model"
    final_norm: str | None = ""
    before_head: str = ""
    attention: str = ""
    mlp: str = ""
    attention_output: str = ""
    heads: int = 0
    head_size: int = 0
    query: str = ""
    key: str = ""
    value: str = ""
    key_value_heads: int = 0
    joined_by_head: bool = False
    neurons: str = ""
    neuron_count: int = 0
    attention_added: str = ""
    mlp_added: str = ""
    mid: str = ""
    added_scale: float = 1.0
    parallel: bool = False
    logit_scale: float = 1.0
    logit_softcap: float | None = None
    missing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    width: int = 0
    streams: Streams = "one"
    returned: int = 0
    first_position: int = 0
    masks: Masks = "one"
    independent: bool = True
    packable: bool = True
    why_not: str = ""

    def __post_init__(self) -> None:
        for name in ("family", "layers", "embedding", "head"):
            if not getattr(self, name):
                raise WorkbenchError(
                    f"the architecture row of {self.family or 'a model'} has an empty {name!r}"
                )
        if self.packable == bool(self.why_not):
            raise WorkbenchError(
                f"the architecture row of {self.family!r} must give why_not exactly when packable "
                "is False"
            )
