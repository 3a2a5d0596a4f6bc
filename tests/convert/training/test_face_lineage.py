"""Shipped networks are trained on: a slim one as it is, a fast one out of its channels, taught by the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd_convert.architectures import vgg16
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.errors import TrainingError
from affectd_convert.training.face import FaceRecipe, train_face
from affectd_convert.training.plan import Plan, Stage

MODELS = Path(__file__).parents[3] / "models"
BIG, SLIM = MODELS / "face-vgg16", MODELS / "face-vgg16-slim"
PLAN = Plan(
    stages=(Stage(epochs=1, size=16),), batch_size=16, peak_rate=1e-6, precision="float32", seed=3, engine="keras"
)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Pictures of nothing, enough for two batches and a validation."""
    pixels = np.random.default_rng(0).integers(0, 256, (46, 48, 48), dtype=np.uint8)
    path = tmp_path / "faces.npz"
    np.savez(path, pixels=pixels, label=np.arange(46) % 7, usage=np.repeat([0, 1], (32, 14)))
    return path


def config(folder: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((folder / "config.json").read_text())
    return read


@pytest.mark.timeout(300)
def test_a_slim_bundle_is_trained_on_as_it_is_and_the_record_names_its_teachers(faces: Path, tmp_path: Path) -> None:
    import keras

    run = tmp_path / "run"
    final = train_face(faces, run, FaceRecipe(PLAN, "vgg16-slim", begin_with=SLIM, teachers=(BIG, SLIM)))
    written = config(run)
    assert written["architecture"] == "vgg16-slim"
    assert written["begins_with"] == config(SLIM / "training")
    assert written["teachers"] == [{"bundle": "face-vgg16", "version": Bundle.load(BIG).version}]
    # Hardly anything was learnt at this rate: what comes out is what it began with, but for the settled statistics.
    model = keras.saving.load_model(final, compile=False)
    widths = [model.get_layer(f"block{block}_conv1").filters for block in range(1, 6)]
    assert tuple(widths) == vgg16.SLIM.blocks
    shown = np.stack([FacePreprocessing().prepare(face) for face in np.load(faces)["pixels"][:8]])
    shipped = device_logits(next(SLIM.glob("*float16.tflite")), shown)
    correlation = np.corrcoef(model.predict(shown, verbose=0).ravel(), shipped.ravel())[0, 1]
    assert correlation > 0.9


def test_a_slim_network_is_not_taken_for_a_big_one(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is vgg16-slim; with --architecture vgg16-slim it is trained on"):
        train_face(faces, tmp_path / "run", FaceRecipe(PLAN, begin_with=SLIM))


def test_a_fast_network_begins_with_the_channels_of_a_wider_one(faces: Path, tmp_path: Path) -> None:
    import keras

    final = train_face(faces, tmp_path / "run", FaceRecipe(PLAN, "vgg16-fast", begin_with=SLIM, teachers=(SLIM,)))
    model = keras.saving.load_model(final, compile=False)
    assert model.count_params() < 1_400_000
    with pytest.raises(TrainingError, match="vgg16-fast needs a trained network"):
        FaceRecipe(PLAN, "vgg16-fast")
    with pytest.raises(TrainingError, match="is for the voice; a face is taught by bundles for the face"):
        train_face(faces, tmp_path / "other", FaceRecipe(PLAN, teachers=(MODELS / "voice-cnn-lstm",)))
