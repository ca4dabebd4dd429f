from __future__ import annotations

from workbench.bench.inputs import make_inputs
from workbench.bench.recording import recording
from workbench.models import LanguageModel


def test_recording_keeps_three_states_a_layer(tiny_lm: LanguageModel) -> None:
    found = recording(make_inputs(tiny_lm, rows=2, tokens=32), 1)
    assert found["record_over_forward"] > 0
    assert found["record.kv_cache_bytes"] == 2 * 4 * 3 * 32 * 4
    assert found["record.all_streams_bytes"] == 2 * 32 * 4 * 32 * 4
    assert found["record.extra_bytes"] < found["record.all_streams_bytes"]
