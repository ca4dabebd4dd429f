"""Find the exact number behind one that was measured: 1, one of a model's configuration, or one
divided by such a number.
"""

from __future__ import annotations

from typing import Any

NEAR = 1e-4


def configured_numbers(model: Any) -> list[float]:
    """Return the numbers of the model's text configuration, each once."""
    told = model.config.get_text_config().to_dict()
    return sorted(
        {
            float(value)
            for value in told.values()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
    )


def exact_number(model: Any, measured: float) -> float:
    """Return the number that ``measured`` was meant to be, itself if it is near none."""
    numbers = configured_numbers(model)
    for number in (1.0, *numbers, *(1 / number for number in numbers if number)):
        if abs(measured - number) <= NEAR * abs(number):
            return number
    return measured
