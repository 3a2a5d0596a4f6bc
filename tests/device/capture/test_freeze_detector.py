"""Pictures that repeat to the bit, that differ by their noise alone, and that show nothing."""

import numpy as np

from affectd.capture.freeze_detector import FreezeDetector


def picture(seed):
    return np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)


def test_a_picture_that_repeats_is_still_until_it_changes():
    detector = FreezeDetector()
    assert [detector.frozen_s(picture(1), at) for at in (100.0, 101.0, 105.0)] == [0.0, 1.0, 5.0]
    assert [detector.frozen_s(picture(2), at) for at in (106.0, 107.0)] == [0.0, 1.0]


def test_noise_is_life():
    detector = FreezeDetector()
    quiet = np.full((48, 64, 3), 90, np.uint8)
    quiet[:24] = 160
    for at in range(5):
        noisy = quiet + np.random.default_rng(at).integers(0, 2, quiet.shape, np.uint8)
        assert detector.frozen_s(noisy, float(at)) == 0.0


def test_another_size_is_another_picture():
    detector = FreezeDetector()
    detector.frozen_s(picture(1), 1.0)
    assert detector.frozen_s(picture(1)[:40], 2.0) == 0.0


def test_a_covered_lens_is_never_still():
    detector = FreezeDetector()
    assert [detector.frozen_s(np.zeros((48, 64, 3), np.uint8), at) for at in (1.0, 100.0)] == [0.0, 0.0]
