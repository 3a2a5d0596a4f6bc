"""The training loop: it learns, it goes on where it was killed, and says what it cannot do."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from affectd.face.preprocess import FacePreprocessing
from affectd_convert.commands.main import main
from affectd_convert.datasets.fer2013 import FaceSet
from affectd_convert.errors import TrainingError
from affectd_convert.training import degraded_faces, engine, face_batches
from affectd_convert.training.batch import Batch
from affectd_convert.training.face import FaceRecipe, train_face
from affectd_convert.training.loop import Job, scores, train
from affectd_convert.training.mixup import mixed
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import commands_of, read_config
from affectd_convert.training.run_folder import RunFolder
from affectd_convert.training.teachers import TAUGHT, VIEWS, Teachers
from affectd_convert.training.voice import VoiceRecipe, train_voice
from support.runs import face_config
from support.waiting import until

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
        config=face_config(plan=plan, inputs=preprocessing, command="affectd-convert train face --seed 3"),
        build=small_network,
        batches=lambda stage, epoch: face_batches.FaceBatches(
            faces=faces,
            preprocessing=preprocessing,
            augmentation=face_batches.FaceAugmentation(rotation_deg=5, erase=0.1),
            batch_size=plan.batch_size,
            size=stage.size,
            seed=plan.seed,
            epoch=epoch,
            progress=0.0,
        ),
        validation=face_batches.PreparedFaces.of(faces, replace(preprocessing, size=20)),
        originals=lambda: face_batches.originals(faces, replace(preprocessing, size=20)),
    )


def test_a_run_leaves_model_history_curves_and_configuration(tmp_path: Path) -> None:
    run = tmp_path / "run"
    lines: list[str] = []
    final = train(job(run), report=lines.append)
    assert final.exists()
    assert len((run / "history.csv").read_text().splitlines()) == 1 + PLAN.epochs
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert read_config(run) == job(run).config
    assert commands_of(run) == ["affectd-convert train face --seed 3"]
    assert sum("validation" in line for line in lines) == PLAN.epochs
    assert lines[0] == (
        "run: nothing labelled fear, happy, sad, surprise, neutral is validated on: how well it is learnt is unknown"
    )


def test_a_killed_run_goes_on_after_its_last_whole_epoch(tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    long = "replace(PLAN, stages=(Stage(epochs=400, size=16),))"
    program = f"from test_training import *; train(job(Path({str(run)!r}), {long}))"
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    until((run / "curves.png").exists, 200)
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


def forgetful_network() -> object:
    import keras

    *first, last = small_network().layers
    return keras.Sequential([keras.Input((None, None, 1)), *first, keras.layers.Dropout(0.3), last])


def test_a_run_that_goes_on_ends_with_the_weights_of_one_that_never_stopped(tmp_path: Path) -> None:
    import keras

    # So strong a decay that a bias or a gamma which decays after all ends elsewhere.
    plan = replace(PLAN, stages=(Stage(epochs=3, size=16),), optimizer="adamw", peak_rate=0.02, weight_decay=2.0)
    whole = replace(job(tmp_path / "whole", plan), build=forgetful_network)
    stopped = replace(whole, run=tmp_path / "stopped")

    def until_stopped(stage: Stage, epoch: int) -> face_batches.FaceBatches:
        if epoch == 1:
            raise KeyboardInterrupt
        return whole.batches(stage, epoch)

    with pytest.raises(KeyboardInterrupt):
        train(replace(stopped, batches=until_stopped), report=lambda _: None)
    ends = [keras.saving.load_model(train(one, report=lambda _: None), compile=False) for one in (whole, stopped)]
    for one, other in zip(*(model.get_weights() for model in ends), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_run_folder_of_another_configuration_is_refused_by_the_settings_that_differ(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"plan": {}, "task": "voice"}))
    with pytest.raises(TrainingError, match=r"holds another run: plan\.stages\.0\.epochs is not there, 1 asked for"):
        train(job(run))
    (run / "config.json").unlink()
    RunFolder(run).claim(config_of(PLAN))
    with pytest.raises(TrainingError, match=r"run: holds another run: plan\.seed is 3 there, 4 asked for; take"):
        RunFolder(run).claim(config_of(replace(PLAN, seed=4)))
    many = replace(PLAN, seed=4, stages=(), batch_size=2)
    with pytest.raises(TrainingError, match=r"plan\.seed is 3 there, 4 asked for, .* there, not asked for and 3 more;"):
        RunFolder(run).claim(config_of(many))


def config_of(plan: Plan) -> dict[str, Any]:
    return job(Path(), plan).config.to_json()


def test_a_run_that_is_older_than_a_setting_goes_on_while_that_is_off(tmp_path: Path) -> None:
    older = config_of(PLAN)
    del older["plan"]["sharpness"]
    RunFolder(tmp_path).claim(older)
    RunFolder(tmp_path).claim(config_of(PLAN))
    with pytest.raises(TrainingError, match=r"plan\.sharpness is not there, 0\.2 asked for"):
        RunFolder(tmp_path).claim(config_of(replace(PLAN, sharpness=0.2)))


def test_a_run_cannot_begin_with_itself(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    itself = tmp_path / "elsewhere" / ".." / "run"
    refused = "run: cannot begin with itself; give the new run another folder"
    with pytest.raises(TrainingError, match=refused):
        train_face(tmp_path, run, FaceRecipe(begin_with=itself))
    with pytest.raises(TrainingError, match=refused):
        train_voice(tmp_path, run, VoiceRecipe(begin_with=itself))
    assert [path.name for path in run.iterdir()] == ["config.json"]


def test_a_run_names_the_commands_of_those_that_led_to_it(tmp_path: Path) -> None:
    first, second = job(tmp_path / "first").config, job(tmp_path / "second").config
    older = {**first.to_json(), "begins_with": None}
    then = replace(second, begins_with={**first.to_json(), "command": first.command, "begins_with": older})
    RunFolder(tmp_path / "second").claim(then.to_json(), "affectd-convert train face --begin-with first")
    assert commands_of(tmp_path / "second") == [
        "# a run of 3 epochs, seed 3, made by an older program, which did not record its command",
        first.command,
        "affectd-convert train face --begin-with first",
    ]


def test_a_loss_that_is_no_number_ends_the_run_with_its_checkpoint_whole(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower peak_rate"):
        train(job(tmp_path / "run", replace(PLAN, peak_rate=1e30, clip_norm=1e30)))


def test_sharpness_is_refused_where_the_engine_has_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="take --engine torch"):
        train(job(tmp_path / "run", replace(PLAN, sharpness=0.1)))


def test_less_than_a_batch_of_training_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="less than one batch of 1000"):
        train(job(tmp_path / "run", replace(PLAN, batch_size=1000)), report=lambda _: None)


def test_the_same_epoch_gives_the_same_batches_and_another_gives_others() -> None:
    how = {
        "faces": two_faces(),
        "preprocessing": FacePreprocessing(),
        "augmentation": face_batches.FaceAugmentation(),
        "batch_size": 16,
        "size": 24,
        "seed": 1,
    }
    first, again, other = (face_batches.FaceBatches(**how, epoch=epoch, progress=0.5)[2] for epoch in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert np.allclose(first[1].sum(axis=1), 1)


def test_votes_soften_the_target_only_where_there_are_any() -> None:
    faces = two_faces(2)
    faces.votes[1, 3] = 10
    targets = face_batches.soft_targets(faces, np.arange(2), 0.3)
    assert targets[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert np.allclose(targets[1], [0, 0.7, 0, 0.3, 0, 0, 0])


def test_the_votes_fade_out_over_the_run_and_rare_labels_are_repeated() -> None:
    faces = two_faces(200)
    keep = np.r_[np.flatnonzero(faces.label == 0), np.flatnonzero(faces.label == 1)[:4]]
    faces = FaceSet(faces.pixels[keep], faces.label[keep], faces.usage[keep], np.zeros((len(keep), 7), np.float32))
    faces.votes[:, 5] = 10
    how = {
        "faces": faces,
        "preprocessing": FacePreprocessing(),
        "augmentation": face_batches.FaceAugmentation(votes=0.4, smoothing=0.0, rarest=0.2),
        "batch_size": 120,
        "size": 24,
        "seed": 1,
        "epoch": 0,
    }
    first, last = (face_batches.FaceBatches(**how, progress=progress)[0][1] for progress in (0.0, 1.0))
    assert np.allclose(first[:, 5], 0.4)
    assert np.allclose(last[:, 5], 0)
    assert last[:, 1].sum() == 20


def test_mixup_blends_inputs_and_targets_by_the_same_share() -> None:
    numbers = np.arange(8, dtype=np.float32)
    inputs, targets = mixed(numbers.reshape(8, 1, 1), np.eye(8, dtype=np.float32), 0.5, np.random.default_rng(0))
    assert np.allclose(inputs[:, 0, 0], targets @ numbers, atol=1e-5)
    assert not np.allclose(inputs[:, 0, 0], numbers)
    assert np.allclose(targets.sum(axis=1), 1)


def test_teachers_are_shown_each_view_once_before_it_is_degraded_and_erased() -> None:
    shown: list[np.ndarray] = []

    def sad(faces: Sequence[np.ndarray]) -> np.ndarray:
        shown.extend(faces)
        return np.tile(np.eye(7, dtype=np.float32)[4], (len(faces), 1))

    def surprised(faces: Sequence[np.ndarray]) -> np.ndarray:
        return np.tile(np.eye(7, dtype=np.float32)[5], (len(faces), 1))

    asked = Teachers([sad, surprised], 40)
    how = face_batches.FaceAugmentation(degraded=0.5, erase=0.5, rarest=0)

    def batch(epoch: int) -> Batch:
        faces = face_batches.FaceBatches(
            faces=two_faces(40),
            preprocessing=FacePreprocessing(),
            augmentation=how,
            batch_size=40,
            size=48,
            seed=1,
            epoch=epoch,
            progress=0.0,
            teachers=asked,
        )
        return faces[0]

    first = batch(0)
    prepared = {FacePreprocessing().prepare(face[:, ::way]).tobytes() for face in shown for way in (1, -1)}
    assert len(prepared) == 80
    assert 0.1 < np.mean([image.tobytes() in prepared for image in first.inputs]) < 0.4
    assert np.allclose(first.targets[:, 4:6], TAUGHT / 2, atol=0.01)
    again = batch(VIEWS)
    assert len(shown) == 40
    assert {image.tobytes() for image in again.inputs} & prepared
    batch(1)
    assert len(shown) == 80


@pytest.mark.parametrize("way", degraded_faces.WAYS)
def test_a_degraded_face_keeps_its_shape_and_loses_what_the_lens_would_lose(way: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(3)
    face = cv2.resize(rng.integers(0, 256, (12, 12), np.uint8), (48, 48), interpolation=cv2.INTER_CUBIC)
    degraded = way(face, rng)
    assert degraded.shape == face.shape
    assert degraded.dtype == np.uint8
    difference = np.abs(cv2.equalizeHist(degraded).astype(int) - cv2.equalizeHist(face)).mean()
    assert 1 < difference < 80


def test_a_student_learns_from_its_teacher_rather_than_from_the_labels(tmp_path: Path) -> None:
    def contrary(faces: Sequence[np.ndarray]) -> np.ndarray:
        light_above = np.array([face[:24].mean() > face[24:].mean() for face in faces])
        return np.where(light_above[:, None], *(np.eye(7, dtype=np.float32)[label] for label in (3, 4)))

    import keras

    plan = replace(PLAN, stages=(Stage(epochs=6, size=20),))
    there = job(tmp_path / "run", plan)
    asked = Teachers([contrary], len(two_faces().label))
    taught = replace(there, batches=lambda stage, epoch: replace(there.batches(stage, epoch), teachers=asked))
    final = train(taught, report=lambda _: None)
    model = keras.saving.load_model(final, compile=False)
    inputs = face_batches.PreparedFaces.of(two_faces(), replace(FacePreprocessing(), size=20)).inputs
    answers = np.asarray(model.predict(inputs, verbose=0)).argmax(axis=1)
    assert np.mean(answers == np.where(two_faces().label == 0, 3, 4)) > 0.9


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("face --epochs 5", "argument --epochs: not for face"),
        ("face --fold 0", "argument --fold: not for face"),
        ("voice --stages 40x3", "argument --stages: not for voice"),
        ("voice --slim", "argument --slim: not for voice"),
        ("voice --teacher run", "argument --teacher: not for voice"),
        ("face --taught", "argument --taught: by the network of --begin-with, which it needs; else give --teacher"),
        (
            "face --taught --teacher run --begin-with run",
            "argument --taught: by the network of --begin-with, which it needs; else give --teacher",
        ),
        ("voice --mixup 0.2", "argument --mixup: not for voice"),
        ("voice --epochs 0", "argument --epochs: '0': expected a whole number, 1 or more"),
        ("voice --epochs=-1", "argument --epochs: '-1': expected a whole number, 1 or more"),
        ("voice --seed=-1", "argument --seed: '-1': expected a whole number from 0 to 4294967295"),
        ("face --peak-rate 0", "argument --peak-rate: '0': expected a number above 0"),
        ("face --mixup nan", "argument --mixup: 'nan': expected a number, 0 or more"),
        ("face --stages 40x3 0x5", "argument --stages: '0x5': expected SIZExEPOCHS such as 48x9, a side of 16 or more"),
        ("face --stages 40", "argument --stages: '40': expected SIZExEPOCHS such as 48x9, a side of 16 or more"),
    ],
)
def test_an_option_that_cannot_be_meant_is_a_sentence(
    options: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", *options.split(), "--data", "data", "--run", "runs/any"])
    assert ended.value.code == 2
    assert f"affectd-convert train: error: {sentence}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("avx2 avx512f", "float32"),
        ("avx512f avx512_bf16", "mixed_bfloat16"),
        ("asimd i8mm bf16", "mixed_bfloat16"),
        (None, "float32"),
    ],
)
def test_faces_train_in_bfloat16_only_where_the_processor_has_it(
    flags: str | None, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = tmp_path / "cpuinfo"
    if flags is not None:
        processor.write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(engine, "CPU_INFO", processor)
    assert engine.fastest_precision() == precision


def test_scores_count_each_class_once_in_the_unweighted_recall() -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 0, 1]]
    logits = np.float32([[9, 0, 0], [9, 0, 0], [9, 0, 0], [9, 0, 0]])
    result = scores(logits, targets)
    assert result["accuracy"] == 0.75
    assert result["uar"] == 0.5
