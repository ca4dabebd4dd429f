"""Tell the page what there is to choose from: the model, its questions, formats and bounds."""

from __future__ import annotations

from typing import Any

from workbench.api.grid import PARTS
from workbench.elicit.formats import FORMATS
from workbench.live.requests import MOST_GENERATED, MOST_POSITIONS
from workbench.live.session import Session
from workbench.models.embedded_models import title_of

MOST_QUESTIONS = 2000


def catalogue(session: Session) -> dict[str, Any]:
    """Return what the page needs before the first view."""
    lm, run = session.lm, session.run
    return {
        "name": session.name,
        "model": title_of(lm.name),
        "layers": lm.n_layers,
        "heads": lm.n_heads,
        "tuned": session.tuned is not None,
        "questions": session.question_texts[:MOST_QUESTIONS],
        "format": None if run is None else run.fmt.name,
        "formats": sorted(FORMATS),
        "components": [part for part in PARTS if part != "neurons"],
        "most_positions": MOST_POSITIONS,
        "most_generated": MOST_GENERATED,
    }
