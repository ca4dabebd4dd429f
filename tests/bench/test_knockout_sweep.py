from __future__ import annotations

from workbench.bench.inputs import make_inputs
from workbench.bench.knockout_sweep import knockout_sweep, windows
from workbench.models import LanguageModel
from workbench.trace import AttentionKnockout


def test_every_window_cuts_the_query_off_earlier_tokens(tiny_lm: LanguageModel) -> None:
    bench_inputs = make_inputs(tiny_lm, rows=2, tokens=30)
    [branch] = windows(bench_inputs, 8, heads=2)  # four layers are one window
    [cut] = branch
    assert isinstance(cut, AttentionKnockout)
    assert (cut.layers, cut.heads) == ((0, 1, 2, 3), (0, 1))
    assert cut.queries.tolist() == [[21], [21]]
    assert cut.keys.tolist() == [list(range(10, 18))] * 2


def test_the_sweep_is_measured_and_the_loop_estimated(tiny_lm: LanguageModel) -> None:
    found = knockout_sweep(make_inputs(tiny_lm, rows=2, tokens=12), 1)
    assert found["knockout.windows"] == 1
    assert found["knockout.earlier_tokens"] == 9
    assert found["knockout.packed_vs_loop"] < 1e-4
    assert found["knockout_loop_over_packed.estimated"] is True
    assert found["knockout_over_forward"] > 0
