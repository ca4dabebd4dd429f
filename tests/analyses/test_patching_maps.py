from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.analyses import Analysis

FIGURES = (
    *(f"positions_{key}" for key in ("before", "after", "taught")),
    *(
        f"{kind}_{key}"
        for kind in ("heads", "components")
        for key in ("before", "after", "taught", "gathering")
    ),
    "attribution",
    "claim",
    "claim_conditions",
)


def test_as_a_script_it_draws_every_map_and_as_a_notebook_it_goes_on_to_show_them(
    on_run: Callable[..., Analysis],
) -> None:
    analysis = on_run(
        "patching_maps", n_questions=4, claim_questions=6, layers=2, precision="bfloat16"
    )
    lines = analysis.lines()
    told = dict(line.split(maxsplit=1) for line in lines)
    assert told["claim"] in ("reproduced", "contradicted", "undecided")
    assert "Spearman" in "\n".join(lines)
    page = analysis.place / "figures" / "tiny" / "patching_maps"
    assert Path(told["figures:"]) == page / "index.html"
    assert {path.stem for path in page.glob("*.html")} == {"index", *FIGURES}
    assert all(
        "matrix products in bfloat16" in (page / f"{name}.html").read_text() for name in FIGURES[:3]
    )
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == len(FIGURES)
    assert analysis.finished() == finished
    assert not list(analysis.place.rglob("parts"))
