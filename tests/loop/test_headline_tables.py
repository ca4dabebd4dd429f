from workbench.loop.results import collect, patching_result, summarise
from workbench.loop.run import Run
from workbench.loop.tables import ACTS, KNOWN, headline_tables

SUMMARY = {
    "questions.test": 40,
    "auroc2.text.before": 0.5,
    "auroc2.text.before.low": 0.4,
    "auroc2.text.before.high": 0.6,
    "auroc2.text.after": 0.8125,
    "accuracy.before": 0.25,
    "auroc2.probe": 0.75,
    "probe.layer": 12,
    "probe.position": "answer_end",
    "auroc2.probe.after": 0.875,
    "probe.layer.after": 3,
    "patching.items": 16,
    "patching.rho": 0.9,
    "patching.rho.low": 0.7,
    "patching.rho.high": 1.0,
    "patching.following.half_layer": None,
    "patching.shift.own_base": 2e-06,
    "seconds.teach": 10.0,
}


def test_what_is_said_known_and_acts_comes_from_the_summary() -> None:
    (said, conditions), (_, known), (where, acts) = headline_tables(["before", "after"], SUMMARY)
    assert "40 held-out" in said
    assert conditions == [
        {"arm": "before", "AUROC2 text": "0.500\n[0.400, 0.600]", "accuracy": "0.250"},
        {"arm": "after", "AUROC2 text": "0.812", "accuracy": ""},
    ]
    assert [(row["probe"], row["AUROC2"], row["layer"], row["position"]) for row in known] == [
        ("before", "0.750", "12", "answer_end"),
        ("after", "0.875", "3", ""),
    ]
    assert "16" in where
    assert (acts[0]["layer gradient rho"], acts[0]["donor slope passes 1/2 at layer"]) == (
        "0.900\n[0.700, 1.000]",
        "",
    )


def test_every_cell_of_a_finished_run_is_filled(context: Run) -> None:
    summary = summarise(
        context,
        collect(context),
        patching_result(context.stage("patch").table("sweep"), resamples=50, seed=0),
    )
    (_, said), (_, known), (_, acts) = headline_tables(["before", "after"], summary)
    assert all(cell for row in [*said, *known] for cell in row.values())
    assert [head for head, cell in acts[0].items() if not cell] in (
        [],
        ["donor slope passes 1/2 at layer"],
    )
    assert (len(said), len(said[0])) == (2, 12)
    assert list(acts[0])[1:] == list(ACTS)
    assert list(known[0])[1:] == list(KNOWN)
