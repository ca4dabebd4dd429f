from __future__ import annotations

from workbench.loop.answer_stability import answer_accuracy, answers_with_adapter, unchanged_answers
from workbench.loop.conditions import BEFORE, Condition, Key
from workbench.loop.results import collect
from workbench.loop.run import Run
from workbench.measure import Bootstrap, Estimate


def test_an_adapter_on_the_reply_has_no_answers_of_its_own(context: Run) -> None:
    readouts = collect(context)
    assert answers_with_adapter(context, "elicit_tuned") is None
    assert unchanged_answers(context, readouts, "elicit_tuned") is None
    arm = Condition("arm")
    found = answer_accuracy(context, readouts, "elicit_tuned", arm, Bootstrap(100, 0))
    accuracy = found[Key("accuracy", condition=arm)]
    assert accuracy == found[Key("accuracy", condition=BEFORE)]
    assert isinstance(accuracy, Estimate)
    assert accuracy.value == readouts.correct.mean()
    assert found[Key("unchanged", part="answers", condition=arm)] == 1
    assert found[Key("unchanged_adapter_on", part="answers", condition=arm)] is None


def test_answers_with_the_adapter_on_are_compared_by_question(conversation_context: Run) -> None:
    readouts = collect(conversation_context)
    same = unchanged_answers(conversation_context, readouts, "elicit_tuned")
    on = answers_with_adapter(conversation_context, "elicit_tuned")
    assert same is not None
    assert on is not None
    base = conversation_context.stage("answer").table("answers").set_index("row")["answer"]
    expected = [
        row in on.index and on["answer"][row] == base[row] for row in readouts.questions["row"]
    ]
    assert same.tolist() == expected
    assert not same.all()
