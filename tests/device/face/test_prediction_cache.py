"""When a face is classified anew: when it has changed, however little of it, and soon in any case."""

import numpy as np
import pytest

from affectd.face.prediction_cache import LONGEST_S, PredictionCache

FRAME_S = 0.1


class Counting:
    """A model that answers with the number of times it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def probabilities(self, x: np.ndarray) -> tuple[float, ...]:
        assert x.shape in ((1, 48, 48, 1), (1, 4, 48, 48, 1))
        self.count += 1
        return (float(self.count),)


@pytest.fixture
def face() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (48, 48, 1)).astype(np.float32)


def noisy(face: np.ndarray, number: int) -> np.ndarray:
    return face + np.random.default_rng(number).normal(0, 0.1, face.shape).astype(np.float32)


def test_a_face_that_keeps_still_is_classified_anew_before_its_prediction_is_old(face: np.ndarray) -> None:
    cache = PredictionCache(Counting())
    answers = [cache.predict({1: noisy(face, i)}, i * FRAME_S)[0][0] for i in range(9)]
    assert answers == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert cache.predict({1: face}, 9 * FRAME_S + LONGEST_S) == [(4,)]


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_mouth_or_a_brow_that_moves_is_seen_at_once(face: np.ndarray, scale: float) -> None:
    cache = PredictionCache(Counting())
    cache.predict({1: scale * face}, 0.0)
    moved = face.copy()
    moved[32:40, 16:32] += 0.4
    assert cache.predict({1: scale * moved}, FRAME_S) == [(2,)]
    assert cache.predict({1: scale * face}, 2 * FRAME_S) == [(3,)]


def test_what_changes_slowly_does_not_creep_by(face: np.ndarray) -> None:
    cache = PredictionCache(Counting())
    answers = [cache.predict({1: face + np.float32(0.15 * i)}, i * 0.01)[0][0] for i in range(5)]
    assert answers == [1, 1, 2, 2, 3]


def test_each_face_has_a_prediction_of_its_own(face: np.ndarray) -> None:
    cache = PredictionCache(Counting())
    assert cache.predict({1: face, 2: -face}, 0.0) == [(1,), (2,)]
    assert cache.predict({2: -face, 1: face}, FRAME_S) == [(2,), (1,)]
    assert cache.predict({3: face}, FRAME_S) == [(3,)]
    assert cache.predict({1: face}, FRAME_S) == [(4,)]


def test_nothing_holds_over_a_reset_or_a_clock_that_went_back(face: np.ndarray) -> None:
    cache = PredictionCache(Counting())
    cache.predict({1: face}, 5.0)
    assert cache.predict({1: face}, 4.9) == [(2,)]
    cache.reset()
    assert cache.predict({1: face}, 4.95) == [(3,)]


def test_a_sequence_is_classified_anew_for_as_long_as_any_of_its_frames_changes(face: np.ndarray) -> None:
    cache, moved = PredictionCache(Counting()), face.copy()
    moved[32:40, 16:32] += 0.4
    shown = [*[face] * 4, *[moved] * 5]
    sequences = [np.stack(shown[i : i + 4]) for i in range(6)]
    answers = [cache.predict({1: sequence}, i * 0.01)[0][0] for i, sequence in enumerate(sequences)]
    assert answers == [1, 2, 3, 4, 5, 5]
