"""The sequence that a network of several frames is shown: each face's own last crops, a fixed step apart."""

import numpy as np
import pytest

from affectd.face.crop_sequence import STEP_S, CropSequences


def crop(number: float) -> np.ndarray:
    return np.full((2, 3, 1), number, np.float32)


def shown(sequences: CropSequences, at: float, **faces: float) -> dict[str, list[float]]:
    """The numbers in the sequence of each face, whose newest crop holds the number that is given."""
    made = sequences.extend({int(name[1:]): crop(number) for name, number in faces.items()}, at)
    assert all(sequence.shape == (sequences.frames, 2, 3, 1) for sequence in made.values())
    return {f"t{track}": sequence[:, 0, 0, 0].tolist() for track, sequence in made.items()}


def test_a_track_begins_with_its_first_crop_repeated_and_then_has_its_last_ones_oldest_first() -> None:
    sequences = CropSequences(4)
    made = [shown(sequences, 7 + number * STEP_S, t1=number)["t1"] for number in range(6)]
    assert made == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]


@pytest.mark.parametrize("fps", [60, 30, 15, 10, 7])
def test_the_frames_are_a_step_apart_whatever_the_rate_of_the_camera(fps: float) -> None:
    sequences, rng = CropSequences(8), np.random.default_rng(0)
    times = 3 + (np.arange(200) + rng.uniform(-0.2, 0.2, 200)) / fps
    made = [shown(sequences, at, t1=at)["t1"] for at in times]
    assert max(len(crops) for crops in sequences._crops.values()) <= 4 * 8
    for at, sequence in zip(times[-50:], made[-50:], strict=True):
        assert sequence[-1] == pytest.approx(at)
        assert sequence == sorted(sequence)
        assert at - np.array(sequence[::-1]) == pytest.approx(np.arange(8) * STEP_S, abs=0.0125 + 0.7 / fps)


def test_around_a_gap_the_nearest_crop_stands_for_those_that_are_missing() -> None:
    sequences = CropSequences(8)
    made = [shown(sequences, number * STEP_S, t1=number)["t1"] for number in (0, 1, 2, 5, 6, 7)]
    assert made[-1] == [0, 1, 2, 2, 5, 5, 6, 7]


def test_a_face_that_was_away_for_as_long_as_a_sequence_begins_anew_and_nothing_of_it_is_kept() -> None:
    sequences = CropSequences(4)
    shown(sequences, 0.0, t1=1, t2=2)
    assert shown(sequences, 0.35, t2=3) == {"t2": [2, 2, 3, 3]}
    assert shown(sequences, 0.45, t1=4, t2=4) == {"t1": [4, 4, 4, 4], "t2": [3, 3, 3, 4]}
    assert shown(sequences, 0.9) == {}
    assert sequences._crops == {}


def test_two_faces_are_not_mixed() -> None:
    sequences = CropSequences(3)
    for number in range(5):
        made = shown(sequences, number * STEP_S, t1=number, t2=-number)
    assert made == {"t1": [2, 3, 4], "t2": [-2, -3, -4]}
    assert shown(sequences, 5 * STEP_S, t2=-5, t1=5) == {"t2": [-3, -4, -5], "t1": [3, 4, 5]}


def test_nothing_is_left_over_a_reset_or_a_clock_that_went_back() -> None:
    sequences = CropSequences(3)
    shown(sequences, 5.0, t1=1)
    assert shown(sequences, 4.95, t1=2) == {"t1": [2, 2, 2]}
    sequences.reset()
    assert shown(sequences, 5.0, t1=3) == {"t1": [3, 3, 3]}
