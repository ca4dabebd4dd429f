from __future__ import annotations

from workbench.models import LanguageModel
from workbench.models.structure.exact_numbers import configured_numbers, exact_number


def test_a_measured_number_becomes_the_configured_one(tiny_lm: LanguageModel) -> None:
    tiny_lm.base().config.rope_theta_of_test = 0.3
    base = tiny_lm.base()
    assert 0.3 in configured_numbers(base)
    assert exact_number(base, 0.300001) == 0.3
    assert exact_number(base, 1 / 0.300001) == 1 / 0.3
    assert exact_number(base, 0.99999) == 1.0
    assert exact_number(base, 0.777) == 0.777


def test_switches_are_no_numbers(tiny_lm: LanguageModel) -> None:
    config = tiny_lm.base().config
    config.only_switch = True
    assert all(not isinstance(number, bool) for number in configured_numbers(tiny_lm.base()))
