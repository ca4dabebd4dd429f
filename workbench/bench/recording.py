"""Measure recording every layer at three positions, relative to one plain forward, and the extra
memory it takes.

Recorded are the residual outputs at the first, the middle and the last token.
``record.extra_bytes`` is the peak of recording minus that of the plain forward; a recorder that
kept the streams would need ``record.all_streams_bytes`` more. The engine's explicit mask, rows *
tokens ** 2 numbers, is part of the extra and grows with the length of prompts faster than the
streams do.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from workbench.bench.inputs import BenchInputs
from workbench.bench.memory import peak_bytes
from workbench.bench.timing import alternate, ratio, spread
from workbench.trace.record import record_states


def recording(bench_inputs: BenchInputs, repeats: int) -> dict[str, Any]:
    """Measure ``record_over_forward`` and bytes. Recording needs no logits, which the plain forward
    makes for one token per row.
    """
    lm, last = bench_inputs.lm, bench_inputs.tokens - 1
    at = [[0, last // 2, last]] * bench_inputs.rows

    def work() -> Tensor:
        return record_states(lm, bench_inputs.prompts, at)

    times = alternate({"forward": bench_inputs.forward, "record": work}, repeats)
    states = work()
    plain, recorded = peak_bytes(bench_inputs.forward, lm.device), peak_bytes(work, lm.device)
    extra = None if plain is None or recorded is None else recorded - plain
    one = states.element_size() * lm.width
    return {
        **spread("record_over_forward", ratio(times, "record", "forward")),
        "record.extra_bytes": extra,
        "record.kv_cache_bytes": states.numel() * states.element_size(),
        "record.all_streams_bytes": bench_inputs.rows * bench_inputs.tokens * lm.n_layers * one,
    }
