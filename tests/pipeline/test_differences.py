from __future__ import annotations

from workbench.pipeline.differences import in_names_of


def test_settings_that_one_version_has_alone_are_taken_as_the_older_had_them() -> None:
    there = {"settings": {"a": {"x": 1, "gone": 2}, "b": 3}, "given": None, "needs": {"one": "k"}}
    now = {"settings": {"a": {"x": 5, "new": 6}, "b": 7}, "given": [1], "needs": {"two": "l"}}
    assert in_names_of(there, now) == {
        "settings": {"a": {"x": 5, "gone": 2}, "b": 7},
        "given": [1],
        "needs": {"two": "l"},
    }
    assert in_names_of({}, now) == now
    assert in_names_of(now, now) == now
