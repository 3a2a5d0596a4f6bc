"""A model that has learned nothing is told from one that has, by what it scored on held-out samples."""

import numpy as np
import pytest

from affectd_convert.evaluation.chance_level import shortcomings
from affectd_convert.evaluation.metrics import Evaluation, wilson_interval


def found(confusion):
    labels = ("angry", "happy", "sad", "neutral")[: len(confusion)]
    return shortcomings(Evaluation(labels, np.array(confusion), 0.0))


@pytest.mark.parametrize(
    ("confusion", "sentences"),
    [
        ([[40, 5, 5], [4, 41, 5], [6, 3, 41]], []),
        # Collapsed onto one label.
        (
            [[0, 50, 0], [0, 50, 0], [0, 50, 0]],
            [
                "it is no better than always angry: of 150 samples it has 33.3% right (95 % interval 26.3% to 41.2%), "
                "and 33.3% are angry",
                "it never gives angry (50 samples), sad (50 samples)",
            ],
        ),
        # Chance.
        ([[17, 16, 17], [18, 17, 15], [16, 17, 17]], ["it is no better than always angry"]),
        # Good, and deaf to one label.
        ([[45, 5, 0], [4, 46, 0], [25, 25, 0]], ["it never gives sad (50 samples)"]),
        # Neutral faces by far the most: below their share, and yet it tells the labels apart.
        ([[16, 2, 1, 1], [1, 17, 1, 1], [2, 1, 16, 1], [40, 30, 30, 300]], []),
        # The same faces, answered with their shares only.
        ([[1, 1, 1, 17], [1, 1, 1, 17], [1, 1, 1, 17], [19, 20, 18, 343]], ["it is no better than always neutral"]),
        # Of a label without samples nothing can be told.
        ([[40, 5, 0], [4, 41, 0], [0, 0, 0]], []),
        # Too few to tell.
        ([[3, 1], [1, 2]], ["it is no better than always angry"]),
    ],
)
def test_what_is_not_fit_for_release(confusion, sentences):
    clauses = found(confusion)
    assert len(clauses) == len(sentences)
    assert all(clause.startswith(sentence) for clause, sentence in zip(clauses, sentences, strict=True))


def test_the_interval_of_a_share_is_wilsons():
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20)[1] == pytest.approx(1.0)
