"""The face crop and its numbers."""

import json
from typing import Any

import cv2
import numpy as np
import pytest

from affectd.assembly import face_preprocessing
from affectd.errors import ModelError
from affectd.face.preprocess import FacePreprocessing, resized, to_gray
from affectd.inference.bundle import Bundle
from affectd.inference.installed import installed_models
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


def test_the_manifest_gives_the_same_settings() -> None:
    preprocessing = FacePreprocessing(crop_scale=1.1)
    assert FacePreprocessing.from_manifest(preprocessing.to_manifest()) == preprocessing


BLUISH = np.full((60, 60, 3), (200, 100, 40), np.uint8)
"""B, G, R."""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"size": [40, 56], "equalize": False, "mean": 0, "std": 1}, [[93]]),
        ({"size": 224, "channels": 3, "equalize": False, "mean": 93, "std": 2}, [[0, 0, 0]]),
        ({"size": 24, "colour": "rgb", "mean": 0, "std": 1}, [[40, 100, 200]]),
        ({"size": [96, 64], "colour": "bgr", "mean": [100, 50, 20], "std": 1}, [[100, 50, 20]]),
        ({"size": 96, "colour": "rgb", "mean": [0, 50, 100], "std": [1, 50, 0.5]}, [[40, 1, 200]]),
    ],
)
def test_an_input_has_the_size_the_channels_and_the_colours_that_the_manifest_says(
    values: dict[str, Any], expected: list[list[float]]
) -> None:
    preprocessing = FacePreprocessing.from_manifest(values)
    given = preprocessing.prepare(BLUISH)
    size = values["size"]
    height, width = size if isinstance(size, list) else (size, size)
    assert given.shape == preprocessing.shape == (height, width, len(expected[0]))
    assert given.dtype == np.float32
    assert np.abs(given - np.array(expected, np.float32)).max() <= 0.5
    assert FacePreprocessing.from_manifest(json.loads(json.dumps(preprocessing.to_manifest()))) == preprocessing


def test_a_grey_crop_fills_the_channels_of_a_colour_model() -> None:
    crop = np.random.default_rng(3).integers(0, 256, (24, 24), dtype=np.uint8)
    values = FacePreprocessing.from_manifest({"size": 24, "colour": "rgb", "mean": 0, "std": 1}).prepare(crop)
    assert (values == crop[:, :, np.newaxis]).all()


def test_stripes_are_averaged_where_they_shrink_though_the_other_side_grows() -> None:
    stripes = np.zeros((96, 40), np.uint8)
    stripes[::2] = 200
    assert np.abs(resized(stripes, 24, 80).astype(int) - 100).max() <= 1
    assert np.abs(resized(stripes.T, 80, 24).astype(int) - 100).max() <= 1


@pytest.mark.parametrize("roll", [0, 25])
def test_a_colour_crop_is_the_grey_ones_place(roll: float) -> None:
    picture, box = scene((320, 240, 110)), (265, 185, 110, 110)
    preprocessing = FacePreprocessing(channels=3, colour="bgr", equalize=False)
    colour, gray = preprocessing.crop(picture, box, roll), preprocessing.crop(to_gray(picture), box, roll)
    assert np.abs(to_gray(colour).astype(int) - gray).max() <= 2
    assert preprocessing.crop(picture, (-40, -30, 110, 110), roll).shape == (116, 116, 3)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"colours": "rgb"}, "unknown key preprocessing.colours"),
    ({"colour": "RGB"}, "preprocessing.colour must be one of grey, rgb, bgr, not 'RGB'"),
    ({"size": "96"}, "preprocessing.size must be a whole number in 1..1024, or a list of two, not '96'"),
    ({"size": [96, 96, 3]}, "preprocessing.size must be a whole number in 1..1024, or a list of two"),
    ({"size": 0}, "preprocessing.size must be"),
    ({"size": float("nan")}, "preprocessing.size must be"),
    ({"channels": float("inf")}, "preprocessing.channels must be"),
    ({"channels": 2}, "preprocessing.channels must be 1 or 3, not 2"),
    ({"colour": "rgb", "channels": 1}, 'preprocessing.channels must be 3, for colour is "rgb", not 1'),
    ({"colour": "bgr", "equalize": True}, 'preprocessing.equalize must be false, for colour is "bgr" and only grey is'),
    ({"equalize": 1}, "preprocessing.equalize must be true or false, not 1"),
    ({"mean": [1, 2, 3]}, "preprocessing.mean must be a number in -1e+06..1e+06, not"),
    ({"channels": 3, "std": [1, 2]}, "or a list of 3, one for each channel, not"),
    ({"channels": 3, "std": [1, 2, 0]}, "preprocessing.std must be a number in 1e-06..1e+06, or a list of 3"),
    ({"mean": float("nan")}, "preprocessing.mean must be"),
    ({"crop_scale": True}, "preprocessing.crop_scale must be a number"),
    ({"frames": 0}, "preprocessing.frames must be a whole number in 1..64, not 0"),
    ({"frames": 65}, "preprocessing.frames must be a whole number in 1..64, not 65"),
    ({"frames": 2.5}, "preprocessing.frames must be a whole number in 1..64, not 2.5"),
    ({"frames": "8"}, "preprocessing.frames must be a whole number in 1..64, not '8'"),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_what_no_input_can_be_made_by_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError) as error:
        FacePreprocessing.from_manifest(values, where="own.toml")
    assert str(error.value).startswith(f"own.toml: {sentence}") or sentence in str(error.value)


def test_the_shipped_models_are_given_what_they_take() -> None:
    for name in ("face-vgg16", "face-vgg16-slim"):
        assert face_preprocessing(Bundle.load(installed_models() / name)).shape == (48, 48, 1)


def test_a_network_that_takes_something_else_is_refused() -> None:
    preprocessing = FacePreprocessing(size=(40, 56))
    preprocessing.check_input((1, 40, 56, 1), "manifest.json")
    with pytest.raises(ModelError, match=r"takes \(1, 56, 40, 1\), but .* a face is \(1, 40, 56, 1\)"):
        preprocessing.check_input((1, 56, 40, 1), "manifest.json")


def test_a_network_of_several_frames_sees_a_still_in_all_of_them() -> None:
    preprocessing = FacePreprocessing.from_manifest({"size": 24, "frames": 3})
    still = preprocessing.prepare_still(BLUISH)
    assert still.shape == preprocessing.input_shape == (3, 24, 24, 1)
    assert (still == preprocessing.prepare(BLUISH)).all()
    preprocessing.check_input((1, 3, 24, 24, 1), "manifest.json")
    with pytest.raises(
        ModelError, match=r"takes \(1, 24, 24, 1\), but .* a face is \(1, 3, 24, 24, 1\); .* and frames"
    ):
        preprocessing.check_input((1, 24, 24, 1), "manifest.json")
    assert FacePreprocessing.from_manifest(preprocessing.to_manifest()) == preprocessing


def test_a_manifest_speaks_of_frames_only_where_there_are_several() -> None:
    preprocessing = FacePreprocessing.from_manifest({"frames": 1})
    assert preprocessing.prepare_still(BLUISH).shape == preprocessing.input_shape == (48, 48, 1)
    assert "frames" not in preprocessing.to_manifest()
