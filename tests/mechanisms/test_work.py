from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.mechanisms.catalogue import WORKS, all_works, work_named
from workbench.mechanisms.outcomes import CANNOT_TELL
from workbench.mechanisms.work import Work


@pytest.mark.parametrize("work", all_works(), ids=lambda work: work.name)
def test_every_row_is_whole(work: Work) -> None:
    assert work_named(work.name) is work
    assert work.title.endswith("?")
    assert work.limits
    for claim in work.claims:
        assert claim.sentence.endswith(".")
        assert "confirmed" in claim.rule
        assert "contradicted" in claim.rule
        assert {world.true for world in claim.worlds} == {True, False}
        assert claim.judge({}) == CANNOT_TELL
        nan = Estimate(float("nan"), float("nan"), float("nan"), 0)
        assert claim.judge(dict.fromkeys(claim.needs, nan)) == CANNOT_TELL
        assert claim.published is None or all(each.place for each in claim.published)


def test_what_is_refused() -> None:
    work = work_named(next(iter(WORKS)))
    claim = work.claims[0]
    with pytest.raises(WorkbenchError, match="There is no work 'none'"):
        work_named("none")
    with pytest.raises(WorkbenchError, match="is no arXiv number"):
        replace(claim, arxiv="2603")
    with pytest.raises(WorkbenchError, match="reads no quantity"):
        replace(claim, needs=())
    with pytest.raises(WorkbenchError, match="cannot be called 'A claim'"):
        replace(claim, name="A claim")
    with pytest.raises(WorkbenchError, match="reads 'else', which is no quantity"):
        replace(work, claims=(replace(claim, needs=("else",)),))
    with pytest.raises(WorkbenchError, match="Two claims of"):
        replace(work, claims=(claim, claim))
    with pytest.raises(WorkbenchError, match="makes no claim 'other'"):
        work.claim("other")
