"""Define the one session that the nnsight backend runs, here or on a server.

Its source is what is sent to a server. It must run there without the workbench, so it names torch
and nnsight alone and everything else in it is plain data. It is the only session of this file,
because a server knows a session's source by the name of the file it comes from: with two in one
file, the second could be read as the first.
"""

from __future__ import annotations

from typing import Any

import torch
from nnsight import save
from torch import Tensor

from workbench.trace.interventions import Readout

Step = tuple[str, str, int, int, float, Tensor, Tensor | None, bool, tuple[Tensor, float] | None]
"""Module path; "input", "output" or "given", an input written in a copy; first and last entry of
the width; factor from there to the residual stream; rows and columns [2, n, m] of the batch; values
[n, m, width] to write, None to read; whether the values are added; for a write within a subspace
its orthonormal basis [width, r] and the factor on the projection that is there.
"""


def run_session(
    model: Any,
    where: dict[str, Any],
    runs: list[tuple[dict[str, Any], list[list[Step]]]],
    readout: Readout | None,
) -> Any:
    """Run one trace for each program, its steps in forward order; return the readout of the last
    token's logits, or without a readout the states.

    Args:
        model: nnsight's wrapper of a causal language model.
        where: arguments of the session that say where it runs; they are not sent.
        runs: for every left-padded batch the arguments of the model's forward, with
            ``logits_to_keep=1``, and the batch's programs.

    Returns:
        For each batch and program the readout [rows, ...] of float32 logits, or the list of states
        [rows, n, width] of its steps.
    """
    with model.session(**where):
        with torch.no_grad():
            answers = []
            for inputs, programs in runs:
                found_of = []
                for steps in programs:
                    with model.trace(**inputs):
                        states = []
                        for path, side, start, stop, factor, places, written, add, within in steps:
                            part = model.get(path)
                            value = part.output if side == "output" else part.input
                            hidden = value[0] if isinstance(value, tuple) else value
                            hidden = hidden.clone() if side == "given" else hidden
                            row, at = places.to(hidden.device)
                            found = hidden[row, at, start:stop]
                            if written is None:
                                states.append(found * factor)
                            elif within is not None:
                                basis, kept = within
                                # The formula of workbench.trace.subspace, as that module says why.
                                with torch.autocast(hidden.device.type, enabled=False):
                                    wide = found.float() if hidden.element_size() < 4 else found
                                    axes = basis.to(wide)
                                    change = written.to(wide) / factor + (kept - 1.0) * wide
                                    new = wide + (change @ axes) @ axes.T
                                hidden[row, at, start:stop] = new.to(hidden.dtype)
                            else:
                                new = written.to(hidden.device, hidden.dtype) / factor
                                hidden[row, at, start:stop] = found + new if add else new
                            if side == "given":
                                model.get(path).input = hidden
                        found_of.append(
                            states
                            if readout is None
                            else readout(model.output.logits[:, -1].float())
                        )
                answers.append(found_of)
        save(answers)
    return answers
