"""What the shipped networks cost, against counts worked out from their architectures."""

from pathlib import Path

import pytest

from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import installed_runtimes
from affectd_convert.evaluation.cost import count, machine, measure_costs

MODELS = Path(__file__).parents[3] / "models"


def test_vgg16_counted_by_hand():
    side, before, macs, parameters = 48, 1, 0, 0
    for block in ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3):
        for channels in block:
            macs += side * side * 9 * before * channels
            parameters += 9 * before * channels + channels
            before = channels
        side //= 2
    for units in (1024, 1024, 7):
        macs += before * units
        parameters += before * units + units
        before = units
    costs = measure_costs(Bundle.load(MODELS / "face-vgg16").model_file("int8"))
    assert {cost.runtime for cost in costs} == set(installed_runtimes().values())
    for cost in costs:
        assert (cost.parameters, cost.macs) == (parameters, macs)
        assert 0.01 < cost.milliseconds < 60_000
        assert cost.machine == machine()


def test_an_lstm_multiplies_its_eight_matrices_at_every_step():
    # Input, then four matrices of the input, four of the state, no peepholes, four biases, no projection.
    inputs = [0, *range(1, 9), -1, -1, -1, *range(9, 13), -1, -1, 13, 14]
    shapes = {0: (1, 20, 12), **dict.fromkeys(range(1, 5), (16, 12)), **dict.fromkeys(range(5, 9), (16, 16))}
    shapes |= {**dict.fromkeys(range(9, 13), (16,)), 13: (1, 16), 14: (1, 16), 15: (1, 20, 16)}
    lstm = {"op_name": "UNIDIRECTIONAL_SEQUENCE_LSTM", "inputs": inputs, "outputs": [15]}
    cell = 4 * 16 * (12 + 16)
    assert count([lstm], shapes) == (cell + 4 * 16, 20 * cell)


@pytest.mark.parametrize("name", ["WHILE", "BATCH_MATMUL"])
def test_what_cannot_be_counted_is_not_guessed(name):
    assert count([{"op_name": name, "inputs": [0, 1], "outputs": [2]}], {}) == (0, None)
