"""The training loop: it learns, it goes on where it was killed, and says what it cannot do."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.fer2013 import FaceSet
from affectd_convert.errors import TrainingError
from affectd_convert.training import face_batches, voice_batches
from affectd_convert.training.loop import Job, Plan, Stage, scores, train

PLAN = Plan(stages=(Stage(epochs=1, size=16), Stage(epochs=2, size=20)), batch_size=16, precision="float32", seed=3)


def two_faces(count: int = 128) -> FaceSet:
    """Faces of two kinds that a small network can tell apart: light above, or light below."""
    rng = np.random.default_rng(5)
    label = np.arange(count) % 2
    pixels = rng.integers(0, 90, (count, 48, 48), dtype=np.uint8)
    pixels[label == 0, :24] += 150
    pixels[label == 1, 24:] += 150
    return FaceSet(pixels, label.astype(np.int64), np.zeros(count, np.int64), np.zeros((count, 7), np.float32))


def small_network() -> object:
    import keras

    return keras.Sequential(
        [
            keras.Input((None, None, 1)),
            keras.layers.Conv2D(4, 9, padding="same", activation="relu"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.MaxPooling2D(4),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7),
        ]
    )


def job(run: Path, plan: Plan = PLAN) -> Job:
    faces, preprocessing = two_faces(), FacePreprocessing()
    return Job(
        run=run,
        plan=plan,
        describe={"task": "face"},
        build=small_network,
        batches=lambda stage, epoch: face_batches.FaceBatches(
            faces=faces,
            preprocessing=preprocessing,
            augmentation=face_batches.FaceAugmentation(rotation_deg=5, erase=0.1),
            batch_size=plan.batch_size,
            size=stage.size,
            seed=plan.seed,
            epoch=epoch,
        ),
        validation=lambda stage: face_batches.prepared(faces, replace(preprocessing, size=stage.size)),
        originals=lambda: face_batches.originals(faces, replace(preprocessing, size=20)),
    )


def test_a_run_leaves_model_history_curves_and_configuration(tmp_path: Path) -> None:
    run = tmp_path / "run"
    lines: list[str] = []
    final = train(job(run), report=lines.append)
    assert final.exists()
    assert len((run / "history.csv").read_text().splitlines()) == 1 + PLAN.epochs
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "config.json").read_text())["plan"]["seed"] == PLAN.seed
    assert sum("validation" in line for line in lines) == PLAN.epochs


def test_a_killed_run_goes_on_after_its_last_whole_epoch(tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    long = "replace(PLAN, stages=(Stage(epochs=400, size=16),))"
    program = f"from test_training import *; train(job(Path({str(run)!r}), {long}))"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    deadline = time.monotonic() + 90
    while not (run / "curves.png").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(json.loads((run / "state.json").read_text()))
    assert 0 < done < 400
    # The rest of a shorter plan of the same run: what was asked is the user's to state again.
    config = json.loads((run / "config.json").read_text())
    shorter = replace(PLAN, stages=(Stage(epochs=done + 1, size=16),))
    config["plan"]["stages"][0]["epochs"] = done + 1
    (run / "config.json").write_text(json.dumps(config))
    lines: list[str] = []
    train(job(run, shorter), report=lines.append)
    assert f"going on after epoch {done} of {done + 1}" in lines[0]
    assert len(json.loads((run / "state.json").read_text())) == done + 1


def test_a_run_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"plan": {}, "task": "voice"}))
    with pytest.raises(TrainingError, match="another plan, task"):
        train(job(run))


def test_a_loss_that_is_no_number_ends_the_run_with_its_checkpoint_whole(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower peak_rate"):
        train(job(tmp_path / "run", replace(PLAN, peak_rate=1e30, clip_norm=1e30)))


def test_the_same_epoch_gives_the_same_batches_and_another_gives_others() -> None:
    how = {
        "faces": two_faces(),
        "preprocessing": FacePreprocessing(),
        "augmentation": face_batches.FaceAugmentation(),
        "batch_size": 16,
        "size": 24,
        "seed": 1,
    }
    first, again, other = (face_batches.FaceBatches(**how, epoch=epoch)[2] for epoch in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert np.allclose(first[1].sum(axis=1), 1)


def test_votes_soften_the_target_only_where_there_are_any() -> None:
    faces = two_faces(2)
    faces.votes[1, 3] = 10
    targets = face_batches.soft_targets(faces, np.arange(2), 0.3)
    assert targets[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert np.allclose(targets[1], [0, 0.7, 0, 0.3, 0, 0, 0])


def test_speech_windows_have_the_networks_shape_and_normalized_columns() -> None:
    rng = np.random.default_rng(2)
    sounds = [
        voice_batches.Sound((rng.standard_normal(n) * 3000).astype(np.int16), n % 8, "made")
        for n in (9_000, 30_000, 70_000, 40_001)
    ]
    features = voice_batches.fit_normalization(VoiceFeatures(), sounds)
    batches = voice_batches.VoiceBatches(
        sounds=sounds, features=features, augmentation=voice_batches.VoiceAugmentation(), batch_size=4, seed=1, epoch=0
    )
    inputs, targets = batches[0]
    assert inputs.shape == (4, features.window_frames, features.columns)
    assert np.isfinite(inputs).all()
    assert np.allclose(targets.sum(axis=1), 1)
    windows, _ = voice_batches.centred_windows(sounds[2:], features)
    assert abs(float(windows.mean())) < 0.2
    assert 0.7 < float(windows.std()) < 1.3


def test_scores_count_each_class_once_in_the_unweighted_recall() -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    logits = np.float32([[9, 0, 0], [9, 0, 0], [9, 0, 0], [9, 0, 0]])
    result = scores(logits, targets)
    assert result["accuracy"] == 0.75
    assert result["uar"] == 0.5
