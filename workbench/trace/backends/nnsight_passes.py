"""Define the session that runs packed passes on a server: states read and written, next tokens
read, and text continued, in one request.

Its source is what is sent to a server. It must run there without the workbench, so it names torch,
nnsight and transformers' cache alone, and everything else in it is plain data. Masks are built
there, as :mod:`workbench.trace.masks` builds them here, so that a request holds token ids and
positions instead of a number for every two columns. Of the logits, which the server computes for
the columns that are read alone, only what ``readout`` or ``asked`` makes of them comes back.

It is the only session of this file, because a server knows a session's source by the name of the
file it comes from. It is sent as Python writes it from its syntax tree, and nnsight finds a trace
inside it by the number of its line: so every statement before the last trace takes one line, and
none is followed by a remark. Logits are made float32 column by column, so that there is no wide
copy of all. Changes within a subspace follow the formula of :mod:`workbench.trace.subspace`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nnsight import save
from torch import Tensor
from transformers import DynamicCache

from workbench.models import LanguageModel
from workbench.trace.backends.nnsight_session import Step
from workbench.trace.interventions import Readout
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import HIDDEN, mask_kinds

Pass = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, list[Step]]
"""Token ids [rows, S]; their positions, 0 at each row's first; which of the prompts' columns are
real [rows, T]; the column before which each further token sees the prompt [rows, S - T]; which of
each other these see [1 or rows, S - T, S - T]; the columns whose next token is read [n]; and what
is read and written in forward order.
"""

PlainRules = tuple[dict[str, tuple[int, int]], bool, str, int, float]
"""What :class:`Rules` holds, and what a mask gives to keys that are not seen."""


@dataclass(frozen=True, eq=False)
class Rules:
    """The rules by which a server builds masks and positions, as plain data.

    Attributes:
        kinds: by layer type, the window and the chunk of its attention, 0 where it has none.
        by_layer_type: whether the decoder takes a mask for each kind.
        decoder: the path of the decoder, which is given the mask itself: nnsight takes no mask that
            differs by layer type.
        first_position: the position id of a row's first token.
    """

    kinds: Mapping[str, tuple[int, int]]
    by_layer_type: bool
    decoder: str
    first_position: int

    @classmethod
    def of(cls, lm: LanguageModel) -> Rules:
        """Return the rules of a model."""
        row = lm.architecture
        return cls(mask_kinds(lm), row.masks == "by_layer_type", row.decoder, row.first_position)

    def plain(self) -> PlainRules:
        """Return the rules without an object of the workbench's, with what a hidden key gets."""
        kinds = dict(self.kinds)
        return kinds, self.by_layer_type, self.decoder, self.first_position, HIDDEN


def packed_pass(prompts: Prompts, tail: Tail, read: Tensor, steps: list[Step]) -> Pass:
    """Return prompts and tail as plain data; ``read`` [n] are the columns whose next token is read.
    Tail tokens exist from the first layer on, whatever the tail says.
    """
    return (
        torch.cat([prompts.tokens, tail.tokens], dim=1),
        torch.cat([prompts.positions, tail.positions], dim=1),
        prompts.valid,
        tail.prefix_end,
        tail.attends_to,
        read,
        steps,
    )


def run_passes(
    model: Any,
    where: dict[str, Any],
    passes: Sequence[Pass],
    rules: PlainRules,
    readout: Readout | None,
    asked: list[int],
    limit: int,
    stop: Any,
) -> Any:
    """Run each pass, and continue the prompts of the last by their most probable tokens.

    Args:
        model: nnsight's wrapper of a causal language model.
        where: arguments of the session that say where it runs; they are not sent.
        rules: those of :meth:`Rules.plain`.
        readout: reduces float32 logits [rows, vocab]; None for the log-probabilities of ``asked``.
        limit: most generated tokens, 0 for none.
        stop: [vocab] bool, a row ends with the first of these tokens.

    Returns:
        For each pass the readouts [rows, n, ...] and the list of states [rows, m, width] of its
        reading steps; the generated tokens [rows, steps]; and their log-probabilities.
    """
    with model.session(**where):
        with torch.no_grad():
            kinds, by_kind, decoder, first_position, hidden_key = rules
            dtype, device = model.dtype, model.device
            low = max(hidden_key, torch.finfo(dtype).min / 2)
            answers = []
            for tokens, positions, valid, prefix_end, attends, read, steps in passes:
                tokens, positions, valid = tokens.to(device), positions.to(device), valid.to(device)
                rows, columns, total = valid.shape[0], valid.shape[1], tokens.shape[1]
                see = torch.zeros((rows, total, total), dtype=torch.bool, device=device)
                causal = torch.ones((columns, columns), dtype=torch.bool, device=device).tril()
                see[:, :columns, :columns] = causal & valid[:, None, :]
                before = torch.arange(columns, device=device) < prefix_end.to(device)[:, :, None]
                see[:, columns:, :columns] = before & valid[:, None, :]
                see[:, columns:, columns:] = attends.to(device)
                see = see | torch.eye(total, dtype=torch.bool, device=device)
                query, key, masks = positions[:, :, None], positions[:, None, :], {}
                for kind, (window, chunk) in kinds.items():
                    seen = see & (query - key < window) if window else see
                    seen = seen & (query // chunk == key // chunk) if chunk else seen
                    mask = torch.zeros(seen.shape, dtype=dtype, device=device)
                    masks[kind] = mask.masked_fill(~seen, low)[:, None]
                cache = DynamicCache()
                inputs = {"input_ids": tokens, "use_cache": True, "past_key_values": cache}
                inputs["position_ids"] = positions + first_position
                inputs["logits_to_keep"] = read.to(device)
                with model.trace(**inputs):
                    args, named = model.get(decoder).inputs
                    named["attention_mask"] = masks if by_kind else masks[kind]
                    model.get(decoder).inputs = (args, named)
                    states = []
                    for path, side, start, end, factor, places, written, add, within in steps:
                        part = model.get(path)
                        value = part.output if side == "output" else part.input
                        hidden = value[0] if isinstance(value, tuple) else value
                        hidden = hidden.clone() if side == "given" else hidden
                        row, at = places.to(hidden.device)
                        found = hidden[row, at, start:end]
                        if written is None:
                            states.append((found * factor).cpu())
                        elif within is not None:
                            basis, kept = within
                            with torch.autocast(hidden.device.type, enabled=False):
                                wide = found.float() if hidden.element_size() < 4 else found
                                axes = basis.to(wide)
                                change = written.to(wide) / factor + (kept - 1.0) * wide
                                new = wide + (change @ axes) @ axes.T
                            hidden[row, at, start:end] = new.to(hidden.dtype)
                        else:
                            new = written.to(hidden.device, hidden.dtype) / factor
                            hidden[row, at, start:end] = found + new if add else new
                        if side == "given":
                            model.get(path).input = hidden
                    logits = model.output.logits
                readings = []
                for column in range(logits.shape[1]):
                    wide = logits[:, column].float()
                    if readout is None:
                        reading = wide[:, asked] - wide.logsumexp(dim=-1, keepdim=True)
                    else:
                        reading = readout(wide)
                    readings.append(reading.cpu())
                answers.append((torch.stack(readings, dim=1), states))
            texts, scores = [], []
            if limit:
                wide, at = logits[:, 0].float(), positions[:, columns - 1 : columns]
                tail = torch.zeros((rows, total - columns), dtype=torch.bool, device=device)
                seen_keys = torch.cat([valid, tail], dim=1)
                ended = torch.zeros(rows, dtype=torch.bool, device=device)
                for _ in range(limit):
                    token = wide.argmax(dim=-1)
                    texts.append(token.cpu())
                    scores.append((wide.amax(dim=-1) - wide.logsumexp(dim=-1)).cpu())
                    ended = ended | stop.to(device)[token]
                    if len(scores) == limit or bool(ended.all()):
                        break
                    at, masks = at + 1, {}
                    positions = torch.cat([positions, at], dim=1)
                    seen_keys = torch.cat([seen_keys, torch.ones_like(seen_keys[:, :1])], dim=1)
                    for kind, (window, chunk) in kinds.items():
                        seen = seen_keys & (at - positions < window) if window else seen_keys
                        seen = seen & (at // chunk == positions // chunk) if chunk else seen
                        mask = torch.zeros(seen.shape, dtype=dtype, device=device)
                        masks[kind] = mask.masked_fill(~seen, low)[:, None, None]
                    inputs = {"input_ids": token[:, None], "use_cache": True, "logits_to_keep": 1}
                    inputs["position_ids"], inputs["past_key_values"] = at + first_position, cache
                    with model.trace(**inputs):
                        args, named = model.get(decoder).inputs
                        named["attention_mask"] = masks if by_kind else masks[kind]
                        model.get(decoder).inputs = (args, named)
                        logits = model.output.logits
                    wide = logits[:, 0].float()
            found_all = (answers, texts, scores)
        save(found_all)
    return found_all
