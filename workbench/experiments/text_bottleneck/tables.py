"""Write a run's steps, fixed maps and sampled texts as tables, for the files beside the page."""

from __future__ import annotations

import pandas as pd

from workbench.experiments.text_bottleneck.lens import BEST, MEAN
from workbench.experiments.text_bottleneck.results import BottleneckResults


def steps_table(results: BottleneckResults) -> pd.DataFrame:
    """Write the steps as a table, one row a condition and step."""
    return pd.DataFrame(
        [
            {
                "condition": each.when,
                "step": step.name,
                **step.auroc2.to_dict("auroc2"),
                **step.within.to_dict("auroc2_within"),
                **step.information.to_dict("mutual_information"),
                **step.gain.to_dict("bits"),
            }
            for each in results.conditions
            for step in each.waterfall.steps
        ]
    )


def maps_table(results: BottleneckResults) -> pd.DataFrame:
    """Write the fixed maps as a table, one row a condition and map."""
    return pd.DataFrame(
        [
            {
                "condition": each.when,
                "map": one.name,
                **one.within.to_dict("auroc2_within"),
                **one.gain.to_dict("gain"),
            }
            for each in results.conditions
            for one in each.maps
        ]
    )


def lens_table(results: BottleneckResults) -> pd.DataFrame:
    """Write what lenses read as a table, one row a condition, lens and layer: AUROC2 within domain
    of the mean and of the best reading of all numbers, and how far the lens stands from the model's
    own numbers, in nats.
    """
    return pd.DataFrame(
        [
            {
                "condition": each.when,
                "lens": lens,
                "layer": layer,
                **{
                    f"{read}.auroc2_within": each.by_lens[f"{lens}.{read}"][layer]
                    for read in (MEAN, BEST)
                },
                "divergence": nats,
            }
            for each in results.conditions
            for lens, by_layer in each.divergence.items()
            for layer, nats in enumerate(by_layer)
        ]
    )


def sampled_table(results: BottleneckResults) -> pd.DataFrame:
    """Write what sampling would say as a table, one row a condition, temperature and draws."""
    return pd.DataFrame(
        [
            {
                "condition": each.when,
                "temperature": one.temperature,
                "draws": one.draws,
                **one.within.to_dict("auroc2_within"),
            }
            for each in results.conditions
            for one in each.sampled
        ]
    )
