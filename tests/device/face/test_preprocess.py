"""The face crop and its numbers."""

import cv2
import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.face.preprocess import FacePreprocessing
from support.scenes import scene


def test_an_equalized_crop_has_about_zero_mean_and_unit_deviation() -> None:
    crop = np.random.default_rng(0).integers(90, 140, (133, 133), dtype=np.uint8)
    values = FacePreprocessing().prepare(crop)
    assert values.shape == (48, 48, 1)
    assert values.dtype == np.float32
    assert abs(float(values.mean())) < 0.2
    assert float(values.std()) == pytest.approx(1, abs=0.1)


def test_brightness_and_contrast_of_the_room_do_not_matter() -> None:
    levels = np.random.default_rng(1).permutation(np.arange(48 * 48) % 128).reshape(48, 48).astype(np.uint8)
    preprocessing = FacePreprocessing()
    assert np.abs(preprocessing.prepare(levels) - preprocessing.prepare(levels + 60)).max() < 0.05


@pytest.mark.parametrize("box", [(-30, -20, 60, 60), (600, 440, 80, 80), (10, 20, 100, 120)])
def test_a_crop_at_the_border_is_a_whole_square(box: tuple[float, float, float, float]) -> None:
    gray = np.random.default_rng(2).integers(0, 256, (480, 640), dtype=np.uint8)
    crop = FacePreprocessing(crop_scale=1.2).crop(gray, box)
    assert crop.shape[0] == crop.shape[1] == round(1.2 * max(box[2:]))


def test_the_crop_is_centred_on_the_box() -> None:
    gray = np.zeros((480, 640), np.uint8)
    gray[200, 300] = 255
    crop = FacePreprocessing(crop_scale=1.0).crop(gray, (280, 180, 40, 40))
    assert crop[20, 20] == 255


@pytest.mark.parametrize("roll", [-35, -10, 20, 90])
def test_a_tilted_face_is_cut_out_upright(roll: float) -> None:
    upright = cv2.cvtColor(scene((320, 240, 110)), cv2.COLOR_BGR2GRAY)
    # OpenCV's angles are counter-clockwise, a roll is clockwise.
    turn = cv2.getRotationMatrix2D((320, 240), -roll, 1)
    tilted = cv2.warpAffine(upright, turn, (640, 480), borderMode=cv2.BORDER_REPLICATE)
    preprocessing, box = FacePreprocessing(), (265, 185, 110, 110)
    expected = preprocessing.crop(upright, box).astype(float)
    assert np.abs(preprocessing.crop(tilted, box, roll) - expected).mean() < 4
    assert np.abs(preprocessing.crop(tilted, box) - expected).mean() > 8


def test_a_tilted_face_at_the_border_is_a_whole_square() -> None:
    gray = np.full((480, 640), 90, np.uint8)
    assert (FacePreprocessing(crop_scale=1.0).crop(gray, (-30, -20, 60, 60), 20) == np.full((60, 60), 90)).all()


def test_a_box_outside_the_picture_gives_a_blank_crop() -> None:
    crop = FacePreprocessing(crop_scale=1.0).crop(np.full((48, 64), 9, np.uint8), (500, 500, 20, 20))
    assert crop.shape == (20, 20)
    assert not crop.any()


def test_the_manifest_gives_the_same_settings_and_a_foreign_key_is_refused() -> None:
    preprocessing = FacePreprocessing(crop_scale=1.1)
    assert FacePreprocessing.from_manifest(preprocessing.to_manifest()) == preprocessing
    with pytest.raises(ModelError, match="colour"):
        FacePreprocessing.from_manifest({"colour": "rgb"})
