from __future__ import annotations

from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from workbench.models.shrink_exceptions import EXCEPTIONS, REPLACED


def test_every_row_is_of_a_type_that_transformers_has() -> None:
    unknown = [
        name for name in (*EXCEPTIONS, *REPLACED, *REPLACED.values()) if name not in CONFIG_MAPPING
    ]
    assert not unknown


def test_no_row_says_what_the_rule_says() -> None:
    empty = [name for name, row in EXCEPTIONS.items() if not row]
    assert not empty
