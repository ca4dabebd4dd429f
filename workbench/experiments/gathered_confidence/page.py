"""Make the page of the test where confidence is gathered and retrieved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.config import RunConfig
from workbench.experiments.patching_maps.maps import PatchingMap
from workbench.experiments.patching_maps.page import position_section
from workbench.experiments.patching_maps.read import ACROSS
from workbench.measure.interval import IntervalCurve
from workbench.mechanisms.page import mechanism_page
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.gathered_confidence import WORK
from workbench.mechanisms.works.gathered_measures import EDGES
from workbench.models.embedded_models import title_of
from workbench.plots.window_sweep import WindowPanel, WindowSweep
from workbench.report import Page, Section

Curves = Mapping[str, tuple[IntervalCurve, IntervalCurve]]


def make_page(
    records: Sequence[MechanismRecord],
    windows: Mapping[str, tuple[Sequence[int], int, Curves]],
    patched: PatchingMap,
    readings: Mapping[str, pd.DataFrame],
    config: RunConfig,
    configuration: Mapping[str, Any],
) -> Page:
    """Return the page of the ``records``.

    Args:
        windows: by condition, first layers, width and curves of the cuts by windows.
        patched: the base model's map of swaps over layers and parts.
        readings: by condition, every question's readings.
    """
    first = records[0]
    pairs = first.estimates["swap_after"].n
    subject = (
        f"{title_of(config.model.name)}, {pairs} pairs of held-out questions, matrix products in "
        f"{first.facts['readings_in']}"
    )
    sections = [
        windows_section(condition, *each, caption=subject) for condition, each in windows.items()
    ]
    of_map = f"{title_of(config.model.name)}, {len(patched.effects.base)} held-out questions"
    sections.append(
        position_section(
            ACROSS, patched, of_map, resamples=config.bootstrap_resamples, seed=config.seed
        )
    )
    floors = "; ".join(f"{each.condition} {each.facts['own_states']:.1g}" for each in records)
    layers = "; ".join(
        f"{each.condition} layer {each.facts['layer']}" for each in records if "layer" in each.facts
    )
    return mechanism_page(
        WORK,
        records,
        subject=subject,
        configuration=configuration,
        sections=sections,
        tables={f"readings_{name}.csv": table for name, table in readings.items()},
        notes=(
            f"Largest move of a reading by the question's own states: {floors}.",
            f"States after the answer, chosen on training questions: {layers or 'none'}.",
        ),
    )


def windows_section(
    condition: str, firsts: Sequence[int], width: int, curves: Curves, *, caption: str
) -> Section:
    """Return the figure of the cuts by windows of layers in one condition."""
    figure = WindowSweep(
        firsts=np.array(firsts, dtype=np.int64),
        width=width,
        panels={EDGES[name]: WindowPanel(*pair) for name, pair in curves.items()},
        unit="share lost",
        title=f"Attention cut by windows of layers, {condition}",
        caption=caption,
    )
    return Section(
        f"Cut by windows, {condition}",
        "What is lost of a pair's difference in stated confidence where tokens may not attend to "
        "others in a window of neighbouring layers, beside as many other tokens. Intervals are "
        "over pairs; the best window of a curve is optimistic.",
        figure.figure(),
        f"windows_{condition}",
    )
