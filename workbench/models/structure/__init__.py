"""Read off a model where its parts are: layers, decoder, norms, head, and the parts of a layer.

Nothing is looked up by family, and names of modules say nothing here: one forward pass and one more
call of every layer, in which every module's input and output are observed, tell what each module
does (:mod:`workbench.models.structure.observation`). The result is a proposal.
:func:`workbench.models.validate` tests every part of it, and whether branches can be packed is
decided by running some.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workbench.compat_processes import process_count
from workbench.errors import WorkbenchError
from workbench.models.architectures import Architecture
from workbench.models.structure.exact_numbers import exact_number
from workbench.models.structure.heads import Heads, find_heads, find_neurons
from workbench.models.structure.inside import TOKENS, Parts, find_parts, layer_calls
from workbench.models.structure.observation import observing
from workbench.models.structure.places import (
    find_decoder,
    find_ends,
    find_layers,
    first_device,
    first_position,
    path_of,
    streams_of,
)

__all__ = ["derive_architecture"]


def derive_architecture(model: Any) -> Architecture:
    """Describe the causal language model ``model``, a transformers module, from one forward.

    Raises:
        WorkbenchError: for a model that is no stack of decoder layers between a token embedding
            and an output head.
    """
    family = str(model.config.model_type)
    try:
        return _derived(model, family)
    except WorkbenchError as error:
        raise WorkbenchError(
            f"the model family {family!r} cannot be analysed: {error}; use a causal language model "
            "that is a stack of decoder layers"
        ) from error


def _derived(model: Any, family: str) -> Architecture:
    embedding = path_of(model, model.get_input_embeddings())
    head = path_of(model, model.get_output_embeddings())
    if embedding is None or head is None:
        raise WorkbenchError("it has no token embedding or no output head")
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return _observed(model, family, embedding, head)
    finally:
        model.train(training)


def _observed(model: Any, family: str, embedding: str, head: str) -> Architecture:
    decoded: list[tuple[str, Tensor]] = []
    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.arange(TOKENS, device=first_device(model))[None] * 7 % (rows - 1) + 1
    names = {module: path for path, module in model.named_modules()}

    def keep_last(module: Any, _args: Any, output: Any) -> None:
        last = getattr(output, "last_hidden_state", None)
        if last is not None:
            decoded.append((names[module], last.detach().clone()))

    hooks = [module.register_forward_hook(keep_last) for module in model.modules()]
    try:
        with observing(model, keep=lambda _: True) as seen:
            logits = model(input_ids=ids, use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    layers, calls = find_layers(model, seen)
    decoder = find_decoder(model, seen, layers, embedding)
    last = next((states for path, states in decoded if path == decoder), None)
    if last is None:
        raise WorkbenchError(f"its decoder {decoder!r} returns no last hidden state")
    ends = find_ends(model, seen, calls[-1], last, head, logits)
    assert calls[0].returned is not None
    streams, width = streams_of(calls[0].returned)
    inside = layer_calls(seen, calls) if streams == "one" else []
    parts = find_parts(inside) if inside else Parts()

    def again(index: int) -> None:
        args, kwargs = seen.arguments[calls[index].path]
        calls[index].module(*args, **kwargs)

    attention, heads = parts.attention, Heads()
    both = frozenset.intersection(*parts.mixes) if parts.mixes else frozenset[str]()
    for path in (attention,) if attention else sorted(both):
        found = find_heads(inside, path, _head_count(model), process_count(model), again)
        if attention or found.query:  # beside another module that mixes positions
            attention, heads = path, found
            break
    neurons, count = find_neurons(inside, parts.mlp, parts.mlp_added)
    return Architecture(
        family=family,
        decoder=decoder,
        layers=layers,
        embedding=embedding,
        head=ends.head,
        final_norm=ends.final_norm,
        before_head=ends.before_head,
        logit_scale=ends.logit_scale,
        logit_softcap=ends.logit_softcap,
        first_position=first_position(model, ids, logits),
        width=width,
        streams=streams,
        returned=calls[0].parts,
        attention=attention,
        attention_added=parts.attention_added,
        mlp=parts.mlp,
        mlp_added=parts.mlp_added,
        mid=parts.mid,
        added_scale=exact_number(model, parts.scale),
        parallel=parts.parallel,
        attention_output=heads.output,
        heads=heads.count,
        head_size=heads.size,
        query=heads.query,
        key=heads.key,
        value=heads.value,
        key_value_heads=heads.key_value_count,
        joined_by_head=heads.joined_by_head,
        neurons=neurons,
        neuron_count=count * process_count(model),
    )


def _head_count(model: Any) -> int:
    """Return the query heads of every layer, as the configuration counts them; 0 where it does not,
    or counts them for each layer.
    """
    try:
        count = model.config.get_text_config().num_attention_heads
    except (AttributeError, RuntimeError):  # the second where layers have counts of their own
        return 0
    return count if isinstance(count, int) else 0
