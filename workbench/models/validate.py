"""Check that a model is wired as its architecture says.

The model must embed the tokens of a sentence, of a conversation and of a reply's end, and its
logits must be finite and not depend on later tokens.

On one short prompt: as many layers as the configuration counts; every layer's output is [batch,
time, width] or a tuple that starts with it; a hook on each layer fires exactly once per forward;
the architecture's paths inside a layer exist; replacing every layer's output by a copy leaves the
logits as they were; the architecture's readout (final norm, head, scaling) of the last layer's
output is the model's own logits; and the components inside a layer add up to what it returns
(:mod:`workbench.models.validate_components`).

An architecture that passes points at the residual stream. The checks say nothing about packing,
which :mod:`workbench.loading.packing_check` runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from workbench.errors import WorkbenchError
from workbench.models.chat import Turn, encode
from workbench.models.ends import end_tokens
from workbench.models.finite import require_finite
from workbench.models.language_model import LanguageModel
from workbench.models.layer_output import hidden_argument, hidden_of, with_hidden
from workbench.models.tolerance import tolerance_of
from workbench.models.unembed import unembed
from workbench.models.validate_components import first_fault

PROMPT = "The capital of France is Paris."
TOKENS = 17
"""How many tokens of it, over and over, are read: an odd number, so that a layer that pads to its
chunks is seen to; above 15, because torch's attention on processors drops the NaN of fewer."""
MEND = "load it anew, so that its parts are read off it again, and report this if it stays"


def validate(lm: LanguageModel) -> None:
    """Refuse a model for which a claim of its architecture does not hold.

    Raises:
        WorkbenchError: for the first claim that does not hold.
    """
    _checked(lm, keep_faulty=True)


def validated(lm: LanguageModel) -> LanguageModel:
    """Return the model with an architecture that names, of the components it claims, those that are
    where it says; of the others it tells what was found.

    Raises:
        WorkbenchError: for the first other claim that does not hold.
    """
    return _checked(lm, keep_faulty=False)


def _checked(lm: LanguageModel, keep_faulty: bool) -> LanguageModel:
    _check_paths(lm)
    ids = prompt_ids(lm)
    training = lm.model.training
    lm.model.eval()
    try:
        with torch.no_grad():
            return _check_forward(lm, ids, keep_faulty)
    finally:
        lm.model.train(training)


def _check_paths(lm: LanguageModel) -> None:
    row, base = lm.architecture, lm.base()
    inner = (
        row.attention,
        row.mlp,
        row.attention_output,
        row.attention_added,
        row.mlp_added,
        row.mid,
        row.query,
        row.key,
        row.value,
        row.neurons,
    )
    outer = (row.layers, row.decoder, row.final_norm, row.before_head, row.embedding, row.head)
    for path in filter(None, outer):
        _require_module(base, path, lm)
    layers = lm.layers()
    counted = getattr(lm.config, "num_hidden_layers", None)
    if row.final_norm is None and len(layers) != counted:
        raise _broken(
            lm,
            f"{row.layers!r} holds {len(layers)} layers and the configuration counts {counted}, "
            "and more than one module comes between them and the head",
        )
    for layer in layers:
        for path in filter(None, inner):
            _require_module(layer, path, lm)


def _check_forward(lm: LanguageModel, ids: torch.Tensor, keep_faulty: bool) -> LanguageModel:
    outputs: dict[int, list[torch.Tensor]] = {}
    decoded: list[torch.Tensor] = []
    entered: list[torch.Tensor] = []
    streams = lm.architecture.streams

    def record(index: int, output: Any) -> None:
        outputs.setdefault(index, []).append(hidden_of(output, streams).clone())

    whole = lm.decoder().register_forward_hook(
        lambda _module, _args, output: decoded.append(output.last_hidden_state)
    )
    first = lm.layers()[0].register_forward_pre_hook(
        lambda _module, args, kwargs: entered.append(
            hidden_of(hidden_argument(args, kwargs), streams).clone()
        ),
        with_kwargs=True,
    )
    try:
        logits = _logits(lm, ids, record)
    finally:
        whole.remove()
        first.remove()
    require_finite(lm, logits)
    for index in range(lm.n_layers):
        fired = len(outputs.get(index, []))
        if fired != 1:
            raise _broken(lm, f"a hook on layer {index} fired {fired} times in one forward")
        if outputs[index][0].shape != (*ids.shape, lm.width):
            raise _broken(
                lm,
                f"layer {index} returned {tuple(outputs[index][0].shape)}, not [1, time, "
                f"{lm.width}]",
            )
    if not _is_causal_and_copied(lm, ids, logits):
        _check_no_op_patch(lm, ids, logits)
        _check_causal(lm, ids, logits)
    _check_readout(lm, outputs[lm.n_layers - 1][0], decoded[0], logits)
    while True:
        fault, alone = first_fault(lm, ids, tolerance_of(lm))
        if fault is None:
            break
        if keep_faulty:
            raise _broken(lm, fault.finding)
        missing = {**lm.architecture.missing, **dict.fromkeys(fault.components, fault.finding)}
        row = replace(lm.architecture, missing=MappingProxyType(missing))
        lm = replace(lm, architecture=row)
    _check_close(
        lm, alone, entered[0], "the first layer's input of the decoder alone and in the model"
    )
    return lm


def _is_causal_and_copied(lm: LanguageModel, ids: torch.Tensor, logits: torch.Tensor) -> bool:
    """Return whether another last token and copies of every layer's output, both in one forward,
    leave the logits of the earlier tokens exactly as they were. Where they do, neither needs a
    forward of its own.
    """
    changed = _logits(lm, _other_end(ids), _copier(lm))
    return torch.equal(changed[:, :-1], logits[:, :-1])


def _other_end(ids: torch.Tensor) -> torch.Tensor:
    other = ids.clone()
    other[0, -1] = ids[0, 0] if ids[0, 0] != ids[0, -1] else (ids[0, -1] + 1) % 2
    return other


def _copier(lm: LanguageModel) -> Callable[[int, Any], Any]:
    streams = lm.architecture.streams
    return lambda _, output: with_hidden(output, hidden_of(output, streams).clone(), streams)


def _check_causal(lm: LanguageModel, ids: torch.Tensor, logits: torch.Tensor) -> None:
    """Check that another last token leaves the logits before it as they were.

    Raises:
        WorkbenchError: if they change.
    """
    changed = _logits(lm, _other_end(ids), _ignore)
    error = (changed - logits)[:, :-1].abs().max() / logits.abs().max()
    if not error <= tolerance_of(lm):
        raise WorkbenchError(
            f"the model {lm.name!r} reads later tokens (another last token moves the logits before "
            f"it by {error:.1e} of the largest), so it is no causal language model: give one"
        )


def _check_no_op_patch(lm: LanguageModel, ids: torch.Tensor, logits: torch.Tensor) -> None:
    """Check that replacing every layer's output by a copy leaves the logits as they were. Where
    kernels do not repeat themselves exactly, the change must be no larger than between two plain
    runs.

    Raises:
        WorkbenchError: if the logits change by more.
    """
    patched = _logits(lm, ids, _copier(lm))
    change = (patched - logits).abs().max()
    # A plain run more is needed only where something moved.
    if change != 0 and not change <= (_logits(lm, ids, _ignore) - logits).abs().max():
        raise _broken(
            lm, f"replacing each layer's output by a copy moved the logits by {change:.1e}"
        )


def _check_readout(
    lm: LanguageModel, last: torch.Tensor, decoded: torch.Tensor, logits: torch.Tensor
) -> None:
    if lm.architecture.final_norm is not None:
        _check_close(
            lm,
            lm.final_norm()(last),
            decoded,
            "the final norm of the last layer's output and the decoder's last hidden state",
        )
    _check_close(
        lm,
        unembed(lm, decoded),
        logits,
        "the head's reading of the last layer's output and the logits",
    )


def _check_close(lm: LanguageModel, found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    error = (found.float() - expected.float()).abs().max() / expected.float().abs().max().clamp_min(
        1e-6
    )
    if not error <= tolerance_of(lm):
        raise _broken(lm, f"{what} differ by {error:.1e} of the largest value")


def _logits(lm: LanguageModel, ids: torch.Tensor, hook: Callable[[int, Any], Any]) -> torch.Tensor:
    """Return float logits of one forward with ``hook(layer index, output)`` on every layer. A
    result that is not None replaces the output.
    """
    handles = [
        layer.register_forward_hook(lambda _module, _args, output, index=index: hook(index, output))
        for index, layer in enumerate(lm.layers())
    ]
    try:
        return lm.base()(input_ids=ids, use_cache=False).logits.float()
    finally:
        for handle in handles:
            handle.remove()


def _ignore(_index: int, _output: Any) -> None:
    return None


def prompt_ids(lm: LanguageModel) -> torch.Tensor:
    """Return the token ids of a short prompt. The model must embed them, those of a conversation
    and those that end a reply.

    Raises:
        WorkbenchError: for a token id the model does not embed.
    """
    ids = lm.tokenizer(PROMPT, add_special_tokens=False)["input_ids"]
    rows = lm.embedding().weight.shape[0]
    turns = (Turn("user", PROMPT), Turn("assistant", PROMPT), Turn("user", PROMPT))
    asked = encode(lm.tokenizer, turns, PROMPT) if lm.tokenizer.chat_template else []
    for given, what in ((ids, "a sentence"), (asked, "a conversation")):
        if not ids or max(given, default=0) >= rows:
            raise WorkbenchError(
                f"the tokenizer of {lm.name!r} gives {what} the token {max(given, default=None)} "
                f"and the model embeds {rows} "
                "tokens: use the tokenizer that belongs to the model"
            )
    strange = sorted(
        token for token in end_tokens(lm) if not 0 <= token < min(rows, lm.config.vocab_size)
    )
    if strange:
        raise WorkbenchError(
            f"the tokenizer or generation_config.json of {lm.name!r} ends replies with the token "
            f"{strange[0]} and the model embeds "
            f"{rows} tokens: correct eos_token_id, or use the files that belong to the model"
        )
    return torch.tensor([(ids * TOKENS)[:TOKENS]], device=lm.device)


def _require_module(root: torch.nn.Module, path: str, lm: LanguageModel) -> None:
    try:
        root.get_submodule(path)
    except AttributeError as error:
        raise _broken(lm, f"there is no module {path!r} in {type(root).__name__}") from error


def _broken(lm: LanguageModel, finding: str) -> WorkbenchError:
    return WorkbenchError(
        f"the model {lm.name!r} is not wired as {lm.architecture.family!r} says: {finding}; {MEND}"
    )
