from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.bench.mechanism_page import record_rows, table_rows, write_mechanism_bench
from workbench.bench.mechanisms import ERROR, POWER, bench_mechanisms, judge_world
from workbench.errors import WorkbenchError
from workbench.mechanisms.catalogue import work_named
from workbench.mechanisms.outcomes import CONTRADICTED

WORK = "self_knowledge"


def test_rates_count_wrong_and_right_verdicts(tmp_path: Path) -> None:
    found = bench_mechanisms(worlds=6, sizes=(300,), works=(WORK,))
    rates = found.rates
    claims = work_named(WORK).claims
    assert len(rates) == 2 * sum(len(claim.worlds) for claim in claims)
    assert set(rates["rate"]) == {ERROR, POWER}
    claim = claims[0]
    null = next(world for world in claim.worlds if not world.true)
    outcomes = [judge_world(claim, null, 300, seed) for seed in range(6)]
    chosen = rates[(rates["world"] == null.name) & (rates["rate"] == POWER)]
    assert chosen["value"].item() == np.mean([one == CONTRADICTED for one in outcomes])
    strong = rates[(rates["world"] == claim.worlds[2].name) & (rates["rate"] == POWER)]
    assert strong["value"].item() == 1.0
    assert found.values[f"{WORK}.question_alone.worst"] <= 0.5
    assert len(table_rows(rates)) * 2 == len(record_rows(rates))
    assert write_mechanism_bench(tmp_path / "bench", found).exists()


def test_unknown_works_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="There is no work 'none'"):
        bench_mechanisms(worlds=1, works=("none",))
