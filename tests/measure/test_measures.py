from __future__ import annotations

import numpy as np

from workbench.measure import Estimate, confidence_metrics
from workbench.measure.measures import Measures


def test_every_measure_is_a_line_and_what_is_unknown_is_said() -> None:
    nan = float("nan")
    page = Measures(
        {
            "auroc2": Estimate(0.75, 0.5, 0.875, 40),
            "smooth": Estimate(0.25, nan, nan, 40),
            "one class": Estimate(nan, nan, nan, 0),
            "rate": 0.5,
            "method <b>": "bootstrap",
        }
    )._repr_html_()
    lines = page.split("<tr>")[2:]
    assert [line.removesuffix("</table>").removesuffix("</tr>") for line in lines] == [
        "<th>auroc2</th><td>0.750</td><td>[0.500, 0.875]</td><td>40</td>",
        "<th>smooth</th><td>0.250</td><td></td><td>40</td>",
        "<th>one class</th><td>not defined</td><td></td><td>0</td>",
        "<th>rate</th><td>0.500</td><td></td><td></td>",
        "<th>method &lt;b&gt;</th><td>bootstrap</td><td></td><td></td>",
    ]


def test_the_table_of_confidence_measures_shows_itself() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(40) < 0.5
    found = confidence_metrics(rng.random(40), right, None, seed=0, resamples=50)
    page = found._repr_html_()
    assert all(f"<th>{name}</th>" in page for name in found)
    assert f"{found['auroc2'].value:.3f}" in page  # type: ignore[union-attr]
