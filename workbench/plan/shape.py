"""Read the sizes that decide what a model costs from its configuration alone, on no device.

The model is built without weights and its parameters are counted, so families need no formulas of
their own. Experts of a mixture count as if all of them were used, which overstates what they
compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import AutoConfig
from transformers.pytorch_utils import Conv1D

from workbench.errors import WorkbenchError
from workbench.models.shape import build_on_meta
from workbench.models.source import explain_errors, find_source
from workbench.plan.known_shapes import KNOWN_SHAPES, KnownShape, known_shape
from workbench.plan.products import ProductShape
from workbench.stream.skeleton import layers_path


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder.

    Attributes:
        name: how the model was asked for.
        source: where the sizes were read.
        layers, width, heads, key_value_heads, head_size, mlp, vocabulary: of the configuration.
        tied: whether head and embedding share their weights.
        linear: weights of the layers' matrices, all layers together.
        layer_rest: the layers' other weights, norms and biases.
        outside: weights outside the layers, a tied matrix once.
        sides: in plus out features of one layer's linear modules, by the last part of their name.
    """

    name: str
    source: str
    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_size: int
    mlp: int
    vocabulary: int
    tied: bool
    linear: int
    layer_rest: int
    outside: int
    sides: Mapping[str, int]

    @property
    def weights(self) -> int:
        """All weights."""
        return self.linear + self.layer_rest + self.outside

    @property
    def products(self) -> ProductShape:
        """The sizes that decide how many operations a token takes."""
        return ProductShape(
            self.layers, self.linear, self.heads * self.head_size, self.width * self.vocabulary
        )

    def adapter_weights(self, rank: int, modules: tuple[str, ...], first: int) -> int:
        """Return the weights of LoRA of this rank on ``modules`` of the layers from ``first`` on.

        Raises:
            WorkbenchError: for a module that a layer has not.
        """
        missing = [name for name in modules if name not in self.sides]
        if missing:
            raise WorkbenchError(
                f"a layer of {self.name} has no linear module {missing[0]!r} for an adapter; it "
                f"has {', '.join(self.sides)}: set teach.lora.target_modules"
            )
        return rank * sum(self.sides[name] for name in modules) * (self.layers - first)


def decoder_shape(name: str, trust_remote_code: bool = False) -> DecoderShape:
    """Return the shape of a model: from its configuration where that lies on this machine, else
    from the table of known ones.

    Raises:
        WorkbenchError: for a model that is neither.
    """
    try:
        source = find_source(name, None, None)
        with explain_errors(name, source):
            config = AutoConfig.from_pretrained(
                source.place,
                revision=source.revision,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
            )
        return shape_of_config(name, config, "its configuration", trust_remote_code)
    except WorkbenchError as error:
        row = known_shape(name)
        if row is None:
            raise WorkbenchError(
                f"{error}. A plan also knows the shapes of {', '.join(KNOWN_SHAPES)}."
            ) from error
        return _of_row(row)


def _of_row(row: KnownShape) -> DecoderShape:
    config = AutoConfig.for_model(row.family, **row.values)
    return shape_of_config(row.name, config, f"published sizes of {row.hub}")


def shape_of_config(
    name: str, config: Any, source: str, trust_remote_code: bool = False
) -> DecoderShape:
    """Return the shape of a model of this configuration.

    Args:
        source: where the configuration was read, in words.
    """
    with explain_errors(name):
        model = build_on_meta(config, trust_remote_code)
    text = model.config.get_text_config()
    layers = list(model.get_submodule(layers_path(model, name)))
    inside = [weight for layer in layers for weight in layer.parameters()]
    own = {id(weight) for weight in inside}
    # A tied head is the embedding's parameter, which ``parameters`` gives once.
    outside = sum(w.numel() for w in model.parameters() if id(w) not in own)
    linear = sum(weight.numel() for weight in inside if weight.dim() > 1)
    heads = int(text.num_attention_heads)
    head_size = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    shared = int(getattr(text, "num_key_value_heads", None) or heads)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return DecoderShape(
        name=name,
        source=source,
        layers=len(layers),
        width=int(text.hidden_size),
        heads=heads,
        key_value_heads=shared,
        head_size=head_size,
        mlp=int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size),
        vocabulary=int(text.vocab_size),
        tied=tied,
        linear=linear,
        layer_rest=sum(weight.numel() for weight in inside) - linear,
        outside=outside,
        sides=_sides(layers[0]),
    )


def _sides(layer: nn.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, module in layer.named_modules():
        last = name.rpartition(".")[2]
        if isinstance(module, nn.Linear):
            found[last] = found.get(last, 0) + module.in_features + module.out_features
        elif isinstance(module, Conv1D):
            found[last] = found.get(last, 0) + sum(module.weight.shape)
    return found
