"""The report of quantization: intervals, the table's form, the picture."""

import pytest

from affectd.inference.golden import Parity
from affectd_convert.conversion.layer_errors import LayerError, short_name
from affectd_convert.conversion.parity import Row
from affectd_convert.evaluation.cost import Cost
from affectd_convert.evaluation.plots import plot_quantization
from affectd_convert.evaluation.quantization import (
    layer_table,
    paired_interval,
    quantization_table,
    variant_figures,
    wilson_interval,
)


def test_intervals_are_those_of_their_sources():
    # statsmodels' proportion_confint(15, 20, method="wilson").
    assert wilson_interval(15, 20) == pytest.approx((0.5313, 0.8881), abs=1e-4)
    # (b - c) / (n + 2) +- 1.96 / (n + 2) * sqrt(b + c - (b - c)**2 / (n + 2)) with half a sample more in b and c.
    assert paired_interval(16, 8, 100) == pytest.approx((-0.0164, 0.1733), abs=1e-4)
    assert paired_interval(0, 0, 100)[1] > 0.01, "no difference seen is no proof of none"


def test_the_table_holds_what_a_reader_chooses_by(tmp_path):
    parity = Parity(100, 0.97, 0.01, 0.1, 1.0)
    rows = [
        Row("m", "int8", "LiteRT", parity, 0.62, lost=3, won=1),
        Row("m", "int8", "tflite-runtime", Parity(100, 0.96, 0.01, 0.1, 1.0), 0.61, lost=4, won=1),
        Row("m", "float16", "LiteRT", Parity(100, 1.0, 0.0, 0.0, 1.0), 0.64),
    ]
    paths = {kind: tmp_path / kind for kind in ("int8", "float16")}
    for path in paths.values():
        path.write_bytes(bytes(1234))
    costs = {kind: [Cost(10, 300_000_000, 1.5, "LiteRT", "some machine")] for kind in paths}
    figures = variant_figures(rows, paths, costs)
    head, int8, float16 = quantization_table(figures)
    assert len(head) == len(int8) == len(float16)
    cells = dict(zip(head, int8, strict=True))
    assert cells["bytes"] == "1,234"
    assert cells["agreement"] == "96.00%", "of two runtimes the worse"
    assert cells["accuracy (95 %)"].startswith("61.00% (51.")
    assert cells["loss, points (95 %)"].startswith("+3.00 (-1.")
    pi = "ms, Pi 4 (estimated, at least)"
    assert (cells["ms, LiteRT"], cells[pi]) == ("1.50", "17.0")
    assert dict(zip(head, float16, strict=True))[pi] == "-", "published figures are of int8"
    layers = [LayerError("net_1/conv_2/Relu;net_1/bn/add", "CONV_2D", 0.05, 0.04)]
    assert layer_table(layers)[1] == ["conv", "CONV_2D", "4.00%", "5.00%"]
    assert short_name("StatefulPartitionedCall:0") == "output"
    plot_quantization(figures, layers, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
