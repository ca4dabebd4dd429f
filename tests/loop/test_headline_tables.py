from __future__ import annotations

from workbench.loop.conditions import AFTER, BEFORE, Key, Measures
from workbench.loop.results import loop_results
from workbench.loop.rivals import RIVALS
from workbench.loop.run import Run
from workbench.loop.tables import ACTS, KNOWN, PROBE_MINUS, TRAINING_SECONDS, headline_tables
from workbench.measure import Estimate

MEASURES: Measures = {
    Key("auroc2", "stated", BEFORE): Estimate(0.5, 0.4, 0.6, 40),
    Key("auroc2", "stated", AFTER): 0.8125,
    Key("accuracy", condition=BEFORE): 0.25,
    Key("auroc2", "probe", BEFORE): 0.75,
    Key("layer", part="probe", condition=BEFORE): 12,
    Key("position", part="probe", condition=BEFORE): "answer_end",
    Key("auroc2", "probe", AFTER): 0.875,
    Key("layer", part="probe", condition=AFTER): 3,
    Key("layer_gradient", part="patching"): Estimate(0.9, 0.7, 1.0, 16),
    Key("donor_slope.half_layer", part="patching"): None,
    Key("shift.own_base", part="patching"): 2e-06,
    TRAINING_SECONDS: 10.0,
}


def test_what_is_said_known_and_acts_comes_from_the_measures() -> None:
    (said, conditions), (_, known), (where, acts) = headline_tables(
        [BEFORE, AFTER], MEASURES, 40, 16
    )
    assert "40 held-out" in said
    assert conditions == [
        {"arm": "before", "AUROC2 stated": "0.500\n[0.400, 0.600]", "accuracy": "0.250"},
        {"arm": "after", "AUROC2 stated": "0.812", "accuracy": ""},
    ]
    assert [(row["read from"], row["AUROC2"], row["layer"], row["position"]) for row in known] == [
        ("states before", "0.750", "12", "answer_end"),
        ("states after", "0.875", "3", ""),
    ]
    assert "16" in where
    assert (acts[0]["layer gradient rho"], acts[0]["donor slope passes 1/2 at layer"]) == (
        "0.900\n[0.700, 1.000]",
        "",
    )


def test_every_cell_of_a_finished_run_is_filled(context: Run) -> None:
    measures = loop_results(context).measures
    (_, said), (_, known), (_, acts) = headline_tables([BEFORE, AFTER], measures, 66, 8)
    assert all(cell for row in said for cell in row.values())
    assert all(known[row][head] for row in (0, 1) for head in KNOWN)
    assert len(known) == 2 + len(RIVALS)
    assert [head for head, cell in acts[0].items() if not cell] in (
        [],
        ["donor slope passes 1/2 at layer"],
    )
    assert (len(said), len(said[0])) == (2, 12)
    assert list(acts[0])[1:] == list(ACTS)
    assert list(known[0])[1:] == [*KNOWN, *PROBE_MINUS]
