from __future__ import annotations

import pytest

from workbench.config import ModelSettings
from workbench.plan.forwards import whole_forward
from workbench.plan.machine import parse_machine
from workbench.plan.number_formats import NumberFormats
from workbench.plan.rates import StatedRates, TimedLayers
from workbench.plan.shape import decoder_shape


def test_few_rows_pay_for_reading_weights_and_many_for_products() -> None:
    shape = decoder_shape("llama-3.1-8b")
    device = parse_machine("1xH100,flops=100T,bandwidth=1TB/s").device
    formats = NumberFormats.of(ModelSettings(), False)
    rates = StatedRates(device, shape, formats)
    layers = 2 * (shape.linear + shape.layer_rest)
    one = rates.seconds(whole_forward("", 32, 1, 1), 0)
    assert one == pytest.approx(layers / 1e12 + 32 * device.launch)
    many = whole_forward("", 32, 64, 64)
    operations = sum(many.products(0).operations(shape.products).values())
    assert rates.seconds(many, 0) == pytest.approx(operations / 1e14 + 32 * device.launch)
    assert StatedRates(device, shape, formats, 4, 0.5).seconds(many, 0) < rates.seconds(many, 0)


def test_timed_layers_are_read_between_and_beyond() -> None:
    timed = TimedLayers("here", (1, 100), (1.0, 10.0), (1, 10), (0.5, 0.5), 3.0, 2.0)
    assert timed.seconds(whole_forward("", 2, 1, 10), 0) == pytest.approx(2 * 10**0.5)
    assert timed.seconds(whole_forward("", 2, 2, 100), 0) == pytest.approx(2 * 20.0)
    back = whole_forward("", 1, 1, 100, logits=1, backward=True)
    assert timed.seconds(back, 0) == pytest.approx(30.0 + 1.0)


@pytest.mark.parametrize(
    ("settings", "on_cpu", "linear", "rest"),
    [
        ({"precision": "float32"}, True, 4, 4),
        ({"precision": "bfloat16"}, True, 2, 4),
        ({}, False, 2, 2),
        ({"quantize": "nf4"}, False, 4.126953125 / 8, 2),
        ({"quantize": "int4"}, False, 9 / 8, 2),
    ],
)
def test_bytes_of_a_weight(
    settings: dict[str, str], on_cpu: bool, linear: float, rest: float
) -> None:
    found = NumberFormats.of(ModelSettings.model_validate(settings), on_cpu)
    assert (found.linear, found.rest) == (linear, rest)
