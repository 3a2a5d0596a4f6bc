"""Figures against values worked out by hand, and their pictures."""

import numpy as np
import pytest

from affectd.inference.model import softmax
from affectd_convert.evaluation.metrics import evaluate
from affectd_convert.evaluation.plots import plot_confusion, plot_reliability


def logits_of(predicted, labels=3):
    return (np.eye(labels)[predicted] * 4).astype(np.float32)


def test_figures_worked_out_by_hand():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    result = evaluate(logits_of(predicted), truth, ("a", "b", "c"))
    assert result.confusion.tolist() == [[3, 1, 0], [1, 1, 0], [0, 2, 0]]
    assert result.accuracy == pytest.approx(0.5)
    assert result.recall == pytest.approx((0.75, 0.5, 0.0))
    assert result.precision == pytest.approx((0.75, 0.25, 0.0))
    assert result.f1 == pytest.approx((0.75, 1 / 3, 0.0))
    assert result.uar == pytest.approx(1.25 / 3)
    assert result.macro_f1 == pytest.approx((0.75 + 1 / 3) / 3)
    document = result.to_json()
    assert document["n"] == 8
    assert document["per_class"]["a"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "n": 4}


def test_a_label_that_the_split_lacks_does_not_count():
    result = evaluate(logits_of(np.array([0, 1])), np.array([0, 1]), ("a", "b", "c"))
    assert result.uar == 1
    assert result.macro_f1 == 1
    assert result.to_json()["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "n": 0}


def test_plots_are_pictures(tmp_path):
    rng = np.random.default_rng(0)
    logits, truth = rng.standard_normal((50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    plot_confusion(evaluate(logits, truth, ("a", "b", "c")), tmp_path / "confusion.png")
    plot_reliability({"as trained": softmax(logits)}, truth, tmp_path / "reliability.png")
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5000
