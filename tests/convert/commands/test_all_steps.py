"""The whole way in one command: what is done is skipped, what fails stops it, and the same command goes on."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd_convert.commands.all_steps import Step, _to_go, steps_of
from affectd_convert.commands.main import main, parser
from affectd_convert.commands.train import config_of
from affectd_convert.errors import DataError, TrainingError
from support.bundles import broken

pytestmark = pytest.mark.timeout(400)

TONE = 0.1 * np.sin(np.arange(1600))


def faces(path: Path) -> Path:
    """FER2013 of two faces a label in each of Training and PublicTest."""
    label = np.tile(np.arange(7), 4)
    pixels = np.random.default_rng(0).integers(0, 256, (28, 48, 48), dtype=np.uint8)
    np.savez(path, pixels=pixels, label=label, usage=np.repeat([0, 1], 14))
    return path


def finish(model, run: Path, task: str, data: Path, *options: str) -> None:
    """Make `run` look as if `train` had finished it."""
    asked = ["train", task, "--data", str(data), "--run", str(run), *options]
    run.mkdir(parents=True)
    config = config_of(parser().parse_args(asked))
    if task == "voice":
        config = replace(config, inputs=replace(config.inputs, mean=(0.0,) * 83, std=(1.0,) * 83))
    (run / "config.json").write_text(json.dumps(config.to_json()))
    shutil.copy(model.model, run / "model.keras")


@pytest.fixture
def finished(face_model, tmp_path: Path) -> Path:
    """A folder of faces with a finished run, and the bundle that was made of it."""
    data, run = faces(tmp_path / "fer2013.npz"), tmp_path / "runs" / "face-vgg16"
    finish(face_model, run, "face", data)
    copy = broken(face_model.bundle, tmp_path, lambda manifest: manifest.update(version="2.0.0"))
    (tmp_path / "models").mkdir()
    copy.rename(tmp_path / "models" / "face-vgg16")
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    data, out, runs = (str(folder / name) for name in ("fer2013.npz", "models", "runs"))
    return ["all", "face", "--data", data, "--out", out, "--runs", runs, *more]


def test_what_is_done_is_skipped(finished, capfd):
    assert main(arguments(finished, "--version", "2.0.0")) == 0
    said = capfd.readouterr().out
    assert f"[1/5] datasets: affectd-convert datasets {finished}/fer2013.npz\nFER2013 (research use" in said
    for step in ("[2/5] train face-vgg16", "[3/5] quantize", "[4/5] bundle"):
        assert f"{step}: already done\n" in said
    assert "[5/5] verify: affectd-convert verify" in said
    assert said.count("ok\n") == 4
    assert said.splitlines()[-1].startswith("[5/5] verify: done in 0 min")


def test_another_version_or_a_newer_model_is_not_done(finished):
    def done(version):
        options = parser().parse_args(arguments(finished, "--version", version))
        return [step.title for step in steps_of(options) if step.done()]

    model = finished / "runs" / "face-vgg16" / "model.keras"
    assert done("2.0.0") == ["train face-vgg16", "quantize", "bundle"]
    assert done("2.0.1") == ["train face-vgg16"]
    os.utime(model, (time.time() + 60, time.time() + 60))
    assert done("2.0.0") == ["train face-vgg16"]
    model.unlink()
    assert done("2.0.0") == []


def test_a_run_of_other_options_or_other_data_is_not_done_and_not_shipped(finished, capfd):
    done = [step.done() for step in steps_of(parser().parse_args(arguments(finished, "--train", "--seed", "1")))]
    assert done[1]
    assert main(arguments(finished, "--train", "--seed", "2")) == TrainingError.exit_code
    assert "face-vgg16: holds another run: plan.seed is 1 there, 2 asked for; take" in capfd.readouterr().err
    np.savez(finished / "fer2013.npz", **{k: v[1:] for k, v in np.load(finished / "fer2013.npz").items()})
    assert not steps_of(parser().parse_args(arguments(finished)))[1].done()


def test_a_step_that_fails_ends_it_with_its_exit_code(tmp_path, capfd):
    (tmp_path / "fer2013.npz").write_bytes(b"")
    assert main(arguments(tmp_path)) == DataError.exit_code
    said = capfd.readouterr().err
    assert "affectd-convert: " in said
    assert "not a FER2013 archive" in said
    assert "[1/5] datasets: ended with exit code 5; mend what it says above, and the same command goes on from" in said


def test_the_time_to_go_is_of_steps_like_those_that_were_timed():
    def later(*titles):
        return [Step(title, ()) for title in titles]

    assert _to_go(later("train a", "train b", "quantize", "verify"), {}) == "; to go: 2 x train, quantize, verify"
    timed = {"datasets": 2.0, "train": 510.0}
    assert _to_go(later("train a", "train b", "bundle"), timed) == "; to go: 2 x train (about 17 min 00 s), bundle"
    assert not _to_go([Step("train a", (), done=lambda: True)], timed)


def test_voice_trains_each_fold_there_and_then_on_everybody(tmp_path):
    for actor in (2, 3, 14):
        soundfile.write(tmp_path / f"03-01-05-01-02-01-{actor:02d}.wav", TONE, 16_000)
    options = parser().parse_args(
        ["all", "voice", "--data", str(tmp_path), "--out", "models", "--train", "--seed", "4"]
    )
    titles = [step.title for step in steps_of(options)]
    assert titles == [
        "datasets",
        "train voice-cnn-lstm-fold0",
        "train voice-cnn-lstm-fold1",
        "train voice-cnn-lstm-leaking",
        "train voice-cnn-lstm",
        "quantize",
        "bundle",
        "verify",
    ]
    # Every step is a command line that the program knows.
    for step in steps_of(options):
        step_options = parser().parse_args(list(step.arguments))
        if step.title.startswith("train"):
            assert step_options.seed == 4


def test_voices_of_one_fold_are_refused_before_anything_is_trained(tmp_path):
    soundfile.write(tmp_path / "03-01-05-01-02-01-02.wav", TONE, 16_000)
    options = parser().parse_args(["all", "voice", "--data", str(tmp_path), "--out", "models"])
    with pytest.raises(DataError, match=r"RAVDESS actors of two folds or more, .* and only fold 0 is here; add actors"):
        steps_of(options)


def test_a_voice_bundle_is_done_with_every_folds_model_in_it(voice_model, tmp_path):
    data, runs, name = tmp_path / "speech", tmp_path / "runs", "voice-cnn-lstm"
    data.mkdir()
    for actor in (2, 3):
        soundfile.write(data / f"03-01-05-01-02-01-{actor:02d}.wav", TONE, 16_000)
    for fold, of_run in {"0": "-fold0", "1": "-fold1", "none": ""}.items():
        finish(voice_model, runs / f"{name}{of_run}", "voice", data, "--fold", fold)
    bundle = Path(shutil.copytree(voice_model.bundle, tmp_path / "models" / name))

    def done():
        options = ["all", "voice", "--data", data, "--out", tmp_path / "models", "--runs", runs, "--version", "0.0.1"]
        return [step.title for step in steps_of(parser().parse_args(list(map(str, options)))) if step.done()]

    trained = [f"train {name}-fold0", f"train {name}-fold1", f"train {name}"]
    os.utime(bundle / "manifest.json")
    assert done() == trained
    for fold in (0, 1):
        shutil.copytree(voice_model.bundle, bundle / "folds" / f"fold{fold}", copy_function=shutil.copyfile)
    assert done() == [*trained, "quantize", "bundle"]
    shutil.rmtree(bundle / "folds" / "fold1")
    assert done() == trained
