"""What the loop measures of each question that targets can be made from: a name, the stage that measures it, its values.

Values are per training question and may be taught, so each must come without the question's own grade (a probe's are
cross-fitted). A new source is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.loop.context import Context
from workbench.store import ROW


@dataclass(frozen=True)
class Source:
    """``values`` gives [rows] of the questions with the given numbers, once ``stage`` has finished."""

    stage: str
    values: Callable[[Context, NDArray[np.int64]], NDArray[np.float64]]


def _probe(context: Context, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    table = context.stage("probe").table("probabilities").set_index(ROW)
    return table["probability"].loc[rows.tolist()].to_numpy(dtype=np.float64)


def _consistency(context: Context, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    table = context.stage("samples").table("consistency").set_index(ROW)
    return table["modal_share"].loc[rows.tolist()].to_numpy(dtype=np.float64)


SOURCES: Mapping[str, Source] = {"probe": Source("probe", _probe), "consistency": Source("samples", _consistency)}


def source_named(name: str) -> Source:
    """The source of this name, or an error listing the names there are."""
    if name not in SOURCES:
        raise WorkbenchError(f"Targets cannot be made from {name!r}; choose among {', '.join(SOURCES)}.")
    return SOURCES[name]
