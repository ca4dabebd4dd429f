from __future__ import annotations

from workbench.bench.trainer_kinds import KINDS, settings_of


def test_only_the_upper_kinds_begin_at_the_layer() -> None:
    begins = {name: settings_of(kind, 15, epochs=4).start_layer for name, kind in KINDS.items()}
    assert begins == {"trl": 0, "full": 0, "trl_upper": 15, "partial": 15}
    assert settings_of(KINDS["full"], 15, epochs=4).epochs == 4
    assert settings_of(KINDS["full"], 15).adapter_scope == "conversation"
