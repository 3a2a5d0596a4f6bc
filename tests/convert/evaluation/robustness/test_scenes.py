"""Faces composed into a room: found by the device's own code where they are, and classified from what it cuts out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.datasets.labelled import Faces
from affectd_convert.evaluation.robustness import scenes
from support.scenes import FACE_SIDE, FACE_X, FACE_Y, PORTRAIT

HAPPY = 3


def portrait() -> np.ndarray:
    """The portrait's face, cut as tightly as FER2013's, (48, 48)."""
    picture = cv2.imread(str(PORTRAIT), cv2.IMREAD_GRAYSCALE)
    half = FACE_SIDE * 0.525
    rows, columns = (slice(round(middle - half), round(middle + half)) for middle in (FACE_Y, FACE_X))
    return np.asarray(cv2.resize(picture[rows, columns], (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


def says_happy(inputs: np.ndarray) -> np.ndarray:
    assert inputs.shape[1:] == (48, 48, 1)
    return np.eye(7, dtype=np.float32)[np.full(len(inputs), HAPPY)]


def test_what_is_found_counts_and_what_is_no_face_is_not_found() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    told: list[str] = []
    data = Faces(np.stack([portrait(), noise]), np.array([HAPPY, HAPPY]))
    rows = scenes.scene_rows(says_happy, FacePreprocessing(), data, report=told.append)
    assert [row.condition for row in rows] == list(scenes.conditions())
    assert len(told) == len(rows)
    by_name = {row.condition: row for row in rows}
    for name in ("full light", "30% of the light", "10% of the light", "haze", "backlight, 10% on the face"):
        row = by_name[name]
        assert (row.found, row.right_of_all, row.right_of_found) == (0.5, 0.5, 1.0), name
    assert rows == scenes.scene_rows(says_happy, FacePreprocessing(), data)


def test_nothing_found_is_nothing_right() -> None:
    data = Faces(np.full((1, 48, 48), 128, np.uint8), np.array([HAPPY]))
    for row in scenes.scene_rows(says_happy, FacePreprocessing(), data):
        assert (row.found, row.right_of_all, row.right_of_found) == (0, 0, 0)


def test_a_wrong_answer_counts_as_found_only() -> None:
    row = scenes.scene_rows(says_happy, FacePreprocessing(), Faces(portrait()[np.newaxis], np.array([0])))[0]
    assert (row.found, row.right_of_all, row.right_of_found) == (1, 0, 0)


def test_scenes_are_as_dark_hazy_and_backlit_as_named() -> None:
    rng = np.random.default_rng(0)
    scene = scenes.compose(scenes.room(rng), portrait(), rng)
    taken = {name: condition(scene, rng) for name, condition in scenes.conditions().items()}
    full = taken["full light"]
    assert taken["10% of the light"].mean() == pytest.approx(0.1 * full.mean(), rel=0.05)
    assert taken["haze"].mean() == pytest.approx(150, abs=3)
    assert cv2.blur(taken["haze"], (9, 9)).std() == pytest.approx(scenes.HAZE * cv2.blur(full, (9, 9)).std(), rel=0.1)
    inside, outside = scene.head > 0.9, scene.head < 0.1
    backlit = taken["backlight, 10% on the face"]
    assert backlit[inside].mean() == pytest.approx(0.1 * full[inside].mean(), rel=0.2)
    assert backlit[outside].mean() > 200
    smooth = {
        name: cv2.GaussianBlur(picture, (0, 0), 3) for name, picture in taken.items()
    }  # without the sensor's noise
    sharpness = [cv2.Laplacian(smooth[name], cv2.CV_64F).var() for name in taken if name.startswith(("full", "blur"))]
    assert sharpness == sorted(sharpness, reverse=True)
    for name, picture in taken.items():
        assert picture.shape == (scenes.HEIGHT, scenes.WIDTH), name
        assert picture.dtype == np.uint8


def test_the_face_lies_where_the_scene_says() -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scene = scenes.compose(np.zeros((scenes.HEIGHT, scenes.WIDTH), np.float32), portrait(), rng)
        x, y, width, height = (round(value) for value in scene.face)
        assert 0 <= x <= scenes.WIDTH - width
        assert 0 <= y <= scenes.HEIGHT - height
        cut = cv2.resize(scene.light[y : y + height, x : x + width], (48, 48), interpolation=cv2.INTER_AREA)
        inner = np.s_[8:40, 8:40]
        assert np.corrcoef(cut[inner].ravel(), portrait()[inner].ravel())[0, 1] > 0.98
