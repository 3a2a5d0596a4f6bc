"""A network over several frames of a face, from stills: trained, converted, bundled, and fed as its manifest says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from affectd_convert.commands.main import main
from affectd_convert.datasets import fer2013
from affectd_convert.training.drifting_views import drifting_views
from affectd_convert.training.face import FaceRecipe, train_face
from affectd_convert.training.face_batches import FaceAugmentation, FaceBatches
from affectd_convert.training.plan import Plan, Stage
from support.one_process import convert

pytestmark = pytest.mark.timeout(400)

PLAN = Plan(stages=(Stage(epochs=1, size=48),), batch_size=7, precision="float32", seed=3)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Blots with a bright band where the label says, enough for four batches and a validation."""
    rng, label = np.random.default_rng(0), np.arange(42) % 7
    blots = rng.integers(0, 100, (42, 6, 6), dtype=np.uint8)
    pixels = np.kron(blots, np.ones((8, 8), np.uint8)) + rng.integers(0, 20, (42, 48, 48), dtype=np.uint8)
    for face, number in zip(pixels, label, strict=True):
        face[6 * number : 6 * number + 10] += 130
    path = tmp_path / "faces.npz"
    np.savez(path, pixels=pixels, label=label, usage=np.repeat([0, 1], (28, 14)))
    return path


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def same_in_all_frames(sequence: np.ndarray) -> int:
    """Count the pixels."""
    return int((sequence == sequence[0]).all(axis=(0, 3)).sum())


def test_the_views_of_a_still_drift_from_the_first_to_the_last(faces: Path) -> None:
    rng, pixels = np.random.default_rng(1), np.load(faces)["pixels"][:20]
    views = np.array([drifting_views(face, 8, rng) for face in pixels])
    assert views.shape == (20, 8, 48, 48)
    neighbours = np.mean([likeness(view[i], view[i + 1]) for view in views for i in range(7)])
    ends = np.mean([likeness(view[0], view[-1]) for view in views])
    assert 0.99 > neighbours > ends + 0.1
    assert ends > 0.4


def test_what_is_erased_is_so_in_every_frame(faces: Path) -> None:
    whole, erased = (
        FaceBatches(
            faces=fer2013.read_fer2013(faces),
            preprocessing=FacePreprocessing(frames=8),
            augmentation=FaceAugmentation(erase=share, degraded=0.0),
            batch_size=14,
            size=48,
            seed=1,
            epoch=0,
            progress=0.0,
        )[0].inputs
        for share in (0.0, 1.0)
    )
    assert whole.shape == erased.shape == (14, 8, 48, 48, 1)
    smallest = 7 * 7
    assert max(same_in_all_frames(sequence) for sequence in whole) < smallest
    assert min(same_in_all_frames(sequence) for sequence in erased) >= smallest


def test_stills_make_a_bundle_of_a_network_over_eight_frames(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "models" / "sequence"
    train_face(faces, run, FaceRecipe(PLAN, "cnn-lstm-sequence"))
    # One that has hardly learnt.
    convert("bundle", "--run", run, "--data", faces, "--out", out, "--version", "1", "--kinds", "int8", "--even-so")
    bundle = Bundle.load(out)
    assert (bundle.input_shape, bundle.preprocessing["frames"]) == ((1, 8, 48, 48, 1), 8)
    assert "FER2013 has stills only: each sequence that it was trained on is one of them in 8 views" in (
        (out / "CARD.md").read_text()
    )
    assert main(["verify", str(out)]) == 0
    assert capsys.readouterr().out.count("ok\n") == 2
    model, sequence = open_model(bundle, "int8"), bundle.golden().inputs[0].copy()
    still = model.logits(sequence)
    assert (model.logits(sequence) == still).all()
    sequence[4:] = np.roll(sequence[4:], 12, axis=1)
    assert (model.logits(sequence) != still).any()
    assert (model.logits(sequence) != model.logits(sequence[::-1])).any()
