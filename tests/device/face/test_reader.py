"""The face path from frame to reading, with a plain object in the classifier's place."""

import cv2
import numpy as np
import pytest

from affectd.events import FaceReading, Frame
from affectd.face.haar import HaarDetector
from affectd.face.preprocess import FacePreprocessing
from affectd.face.reader import FaceReader
from support.scenes import scene


class Recorder:
    """Answers 'happy' and keeps what it was shown."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []

    def probabilities(self, x: np.ndarray) -> tuple[float, ...]:
        self.inputs.append(x)
        return (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def read(reader: FaceReader, *pictures: np.ndarray, start: float = 50.0) -> list[FaceReading]:
    return [reader.read(Frame(picture, start + i / 10, i)) for i, picture in enumerate(pictures)]


def make(model: Recorder | None = None, **settings: int) -> FaceReader:
    return FaceReader.create(model or Recorder(), FacePreprocessing(), HaarDetector(), **settings)


def test_reads_the_face_with_box_as_fractions_and_the_models_answer() -> None:
    model = Recorder()
    reading = read(make(model), *[scene((400, 160, 110))] * 3)[-1]
    assert reading.captured_at == pytest.approx(50.2)
    assert reading.picture == (640, 480)
    face = reading.primary
    assert face is not None
    assert (face.track, face.probabilities[3]) == (1, 1.0)
    assert 0.3 < face.quality <= 1
    assert face.box.x + face.box.width / 2 == pytest.approx(400 / 640, abs=0.02)
    assert face.box.y + face.box.height / 2 == pytest.approx(160 / 480, abs=0.03)
    assert model.inputs[-1].shape == (1, 48, 48, 1)
    assert model.inputs[-1].dtype == np.float32


def test_grey_frames_read_like_colour_ones() -> None:
    colour = scene((320, 240, 120))
    from_colour = read(make(), *[colour] * 3)[-1]
    from_gray = read(make(), *[cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)] * 3)[-1]
    assert from_gray == from_colour


def test_the_network_sees_the_face_itself() -> None:
    model = Recorder()
    read(make(model), *[scene((300, 230, 110))] * 3)
    ours = model.inputs[-1][0, :, :, 0]
    gray = cv2.cvtColor(scene((300, 230, 110)), cv2.COLOR_BGR2GRAY)
    expected = FacePreprocessing().prepare(gray[175:285, 245:355])[:, :, 0]
    blurred = [cv2.GaussianBlur(image, (0, 0), 3) for image in (ours, expected)]
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] > 0.8


def test_a_face_that_keeps_still_is_classified_now_and_then_and_told_in_every_frame() -> None:
    model = Recorder()
    readings = read(make(model), *[scene((320, 240, 110))] * 9)
    assert [len(reading.faces) for reading in readings] == [0, *[1] * 8]
    assert 2 < len(model.inputs) < 6


def test_classifies_at_most_max_faces() -> None:
    model = Recorder()
    readings = read(make(model, max_faces=1), *[scene((170, 240, 100), (450, 240, 150))] * 3)
    assert len(readings[-1].faces) == 1
    assert len(model.inputs) == 1
    both = read(make(), *[scene((170, 240, 100), (450, 240, 150))] * 3)[-1]
    assert len(both.faces) == 2
    assert both.faces[0].box.width > both.faces[1].box.width


def test_nobody_there_is_an_empty_reading_without_a_classification() -> None:
    model = Recorder()
    readings = read(make(model), *[scene()] * 4)
    assert all(reading.faces == () and reading.primary is None for reading in readings)
    assert model.inputs == []


def test_a_face_at_the_border_keeps_its_box_in_the_picture() -> None:
    face = read(make(), *[scene((60, 100, 140))] * 4)[-1].primary
    assert face is not None
    assert face.box.x >= 0
    assert face.box.y >= 0
    assert face.box.x + face.box.width <= 1


def test_reset_ends_the_track() -> None:
    reader = make()
    first = read(reader, *[scene((320, 240, 110))] * 2)[-1].primary
    reader.reset()
    again = read(reader, *[scene((320, 240, 110))] * 2)[-1].primary
    assert first is not None
    assert again is not None
    assert (first.track, again.track) == (1, 2)


def test_says_what_each_stage_took() -> None:
    reader = make()
    assert reader.last_timings is None
    read(reader, *[scene((320, 240, 110))] * 2)
    timings = reader.last_timings
    assert timings is not None
    assert timings.track > 0
    assert timings.classify > 0
    assert min(timings.gray, timings.quality, timings.preprocess) > 0


def colour_reader(model: Recorder) -> FaceReader:
    preprocessing = FacePreprocessing.from_manifest({"size": [32, 40], "colour": "rgb", "mean": 0, "std": 1})
    return FaceReader.create(model, preprocessing, HaarDetector())


def test_a_colour_model_is_shown_the_colours_of_the_face() -> None:
    model, reddish = Recorder(), scene((320, 240, 120))
    reddish[:, :, 0] //= 2
    reader = colour_reader(model)
    assert read(reader, *[reddish] * 3)[-1].faces
    shown = model.inputs[-1][0]
    assert shown.shape == (32, 40, 3)
    expected = reader.preprocessing.prepare(reddish[180:300, 260:380])
    assert np.abs(shown.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 15
    assert shown[:, :, 0].mean() > 1.5 * shown[:, :, 2].mean()
    assert reader.notice is None


def test_a_network_of_several_frames_is_shown_each_face_over_its_last_ones() -> None:
    """Two people, of whom one fades to dark while the other stays as he is."""
    model = Recorder()
    preprocessing = FacePreprocessing(size=16, frames=4, equalize=False, mean=0.0, std=1.0)
    reader = FaceReader.create(model, preprocessing, HaarDetector())
    pictures = [scene((170, 240, 100), (450, 240, 150)) for _ in range(6)]
    for number, picture in enumerate(pictures):
        picture[:, :320] = picture[:, :320] * (1 - 0.08 * number)
    readings = read(reader, *pictures)
    assert [face.track for face in readings[-1].faces] == [1, 2]
    assert {x.shape for x in model.inputs} == {(1, 4, 16, 16, 1)}
    steady, fading = (x[0].mean(axis=(1, 2, 3)) for x in model.inputs[-2:])
    assert np.ptp(steady) < 5
    assert (np.diff(fading) < -3).all()
    begun = model.inputs[0][0]
    assert (begun == begun[0]).all()
    reader.reset()
    model.inputs.clear()
    read(reader, *pictures[:2], start=50.6)
    assert (model.inputs[0][0] == model.inputs[0][0, 0]).all()


def test_a_colour_model_is_shown_grey_where_there_is_no_colour_and_that_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, colour = Recorder(), scene((320, 240, 120))
    reader, gray = colour_reader(model), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    assert read(reader, *[gray] * 4)[-1].faces
    assert (model.inputs[-1][..., 0] == model.inputs[-1][..., 2]).all()
    assert "the pictures are grey" in (reader.notice or "")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    read(reader, colour, start=51.0)
    assert reader.notice is None


def test_a_face_of_which_the_model_knows_nothing_is_seen_and_not_read() -> None:
    class Broken(Recorder):
        def probabilities(self, x: np.ndarray) -> None:  # type: ignore[override]
            return None

    face = read(make(Broken()), *[scene((400, 160, 110))] * 3)[-1].primary
    assert face is not None
    assert (face.quality, face.probabilities) == (0.0, (1 / 7,) * 7)
