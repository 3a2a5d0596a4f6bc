"""Bundles out of runs: folds inside, cards that claim what the run's record says, and data that must be the run's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.inference.bundle import Bundle
from affectd.voice.features import MfccFeatures
from affectd_convert.bundling.reference_model import _face_note
from affectd_convert.commands.main import main
from affectd_convert.datasets import speech
from affectd_convert.errors import DataError
from affectd_convert.evaluation.run_data import read_run_data
from affectd_convert.training.run_config import read_config
from support.one_process import convert
from support.speech import speech as spoken

pytestmark = pytest.mark.timeout(400)

MODELS = Path(__file__).parents[3] / "models"
FEATURES = MfccFeatures(window_frames=100, mean=(0.0,) * 83, std=(25.0,) * 83)
NETWORK = """
import sys, keras
from keras import layers
keras.utils.set_random_seed(1)
inputs = keras.Input((100, 83))
keras.Model(inputs, layers.Dense(8)(layers.GlobalAveragePooling1D()(inputs))).save(sys.argv[1])
"""


def record(data: Path, fold: int | None) -> dict[str, object]:
    """What training writes down of a run on `data`."""
    shipped = json.loads((MODELS / "voice-cnn-lstm" / "training" / "config.json").read_text())
    training, held = speech.split(speech.read_speech(data), fold)
    return {
        **shipped,
        "features": FEATURES.to_manifest(),
        "data": {
            "training": speech.describe_heard(training),
            "validation": speech.describe_held(held, fold),
            "fold": fold,
        },
        "command": f"affectd-convert train voice --data ~/speech --run runs/{fold}",
    }


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """A folder with speech of four actors, and runs that left fold 0, fold 1 and nobody out."""
    folder = tmp_path_factory.mktemp("voices")
    sound = spoken(folder, "Kids are talking by the door, and dogs are sitting by the door.") / 32768
    (folder / "speech").mkdir()
    for actor in (2, 5, 3, 6):
        for number in range(2):
            changed = np.roll(sound, 4000 * number) * (0.2 + 0.1 * number + 0.01 * actor)
            soundfile.write(folder / "speech" / f"03-01-0{number + 1}-01-01-01-{actor:02d}.wav", changed, 16_000)
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", NETWORK, folder / "model.keras"]
    subprocess.run(command, env=environment, check=True, timeout=380)
    for fold in (0, 1, None):
        run = folder / f"run-{fold}"
        run.mkdir()
        shutil.copy(folder / "model.keras", run)
        (run / "config.json").write_text(json.dumps(record(folder / "speech", fold)))
    return folder


@pytest.fixture(scope="module")
def made(voices):
    """The folder of the bundle of those runs, in the place of an older one."""
    older = voices / "models" / "voice" / "older"
    older.parent.mkdir(parents=True)
    older.touch()
    convert(
        *("bundle", "--run", voices / "run-None", "--data", voices / "speech", "--out", older.parent),
        *("--version", "1.0", "--maturity", "a trial", "--kinds", "float16"),
        # Networks of random weights.
        *("--folds", voices / "run-0", voices / "run-1", "--even-so"),
    )
    return older.parent


def test_the_folds_stand_in_the_bundle_and_are_verified_with_it(made, capsys):
    assert sorted(path.name for path in (made / "folds").iterdir()) == ["fold0", "fold1"]
    assert not (made / "older").exists()
    assert Bundle.load(made / "folds" / "fold1").name == "voice-cnn-lstm-fold1"
    assert main(["verify", str(made)]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    names = ["voice-cnn-lstm", "voice-cnn-lstm/fold0", "voice-cnn-lstm/fold1"]
    assert sorted({row.split()[0] for row in rows}) == names


def test_a_folds_card_says_what_it_is_and_no_more(made):
    card = (made / "folds" / "fold0" / "CARD.md").read_text()
    assert card.startswith("# voice-cnn-lstm-fold0 1.0\n\nOne fold of the cross-validation; not for use.")
    assert [line for line in card.splitlines() if line.startswith("## ")] == ["## Figures", "## Training data"]
    assert "evaluate --model models/voice --variant float16 --data ~/data/speech --split fold0\n```" in card
    assert "affectd-convert bundle" not in card
    assert "affectd-convert train" not in card


def test_every_table_of_the_voice_has_its_command_and_says_what_it_is_of(made):
    card = (made / "CARD.md").read_text()
    again = "affectd-convert evaluate --model models/voice --variant float16 --data ~/data/speech --split folds"
    for title, command in (("Protocol", again), ("Figures", again), ("Robustness", f"{again} --robustness")):
        section = card.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert f"```\n{command}\n```" in section, title
    assert "On every window of RAVDESS actors 02, 03, 05, 06, all of them trained on.\n" in card
    assert "Temperature and ECE are per clip" in card
    assert re.search(r"The daemon answers every single window, .* windows, the ECE is 0\.\d{4} \(float16\)\.", card)
    assert "chosen on fold 1, which" in card
    trained = [f"affectd-convert train voice --data ~/speech --run runs/{fold}" for fold in (0, 1, None)]
    made_by = card.partition("## Made by\n\n```\n")[2].partition("```")[0].splitlines()
    assert made_by[:-1] == trained
    assert made_by[-1].startswith(f"affectd-convert bundle --run {made.parents[1]}/run-None --data ")
    assert made_by[-1].endswith(f" --folds {made.parents[1]}/run-0 {made.parents[1]}/run-1 --even-so")


def test_what_was_added_after_the_training_is_not_claimed(voices, tmp_path):
    data = tmp_path / "speech"
    shutil.copytree(voices / "speech", data)
    shutil.copy(next(data.iterdir()), data / "DC_a01.wav")
    sentence = (
        r"speech: not the data of the run: for training it had, and here is: 4 clips of 2 speakers and 5 clips of 3"
    )
    with pytest.raises(DataError, match=sentence):
        read_run_data(voices / "run-0", data)


@pytest.mark.parametrize("usage", [0, 1])
def test_data_that_lacks_a_split_of_the_run_is_a_sentence(tmp_path, usage):
    pixels = np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "fer2013.npz", pixels=pixels, label=np.arange(14) % 7, usage=np.full(14, usage))
    shutil.copy(MODELS / "face-vgg16" / "training" / "config.json", tmp_path)
    with pytest.raises(DataError, match=r"fer2013\.npz: needs both a Training and a PublicTest split, as the run had"):
        read_run_data(tmp_path, tmp_path / "fer2013.npz")


def test_faces_of_another_copy_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (14, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "fer2013.npz", pixels=pixels, label=np.arange(14) % 7, usage=np.repeat([0, 1], 7))
    shutil.copy(MODELS / "face-vgg16" / "training" / "config.json", tmp_path)
    with pytest.raises(
        DataError, match="FER2013 Training, 27875 faces and FER2013 Training, 7 faces; give what it was"
    ):
        read_run_data(tmp_path, tmp_path / "fer2013.npz")


def test_the_card_of_a_face_says_whether_twins_were_left_out(face_model, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(face_model.model, run)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (28, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "faces.npz", pixels=pixels, label=np.arange(28) % 7, usage=np.repeat([0, 1], 14))
    config = json.loads((MODELS / "face-vgg16" / "training" / "config.json").read_text())
    config["preprocessing"] = {"size": 24, "crop_scale": 1.05, "equalize": True, "mean": 127.5, "std": 73.6}
    config["data"] = {
        "training": "FER2013 Training, 14 faces",
        "validation": "FER2013 PublicTest, 14 faces",
        "left_out": ["2 training faces left out: practically the same photo is in PublicTest"],
    }
    (run / "config.json").write_text(json.dumps(config))
    out = tmp_path / "models" / "face"
    data = ("--data", tmp_path / "faces.npz", "--version", "1", "--maturity", "x", "--kinds", "float32")
    # Pictures of nothing.
    convert("bundle", "--run", run, "--out", out, *data, "--even-so")
    card = (out / "CARD.md").read_text()
    assert "2 training faces left out: pract" in card.partition("## ")[0]
    assert "On FER2013 PublicTest.\n" in card
    assert "per clip" not in card
    assert "# a run of 26 epochs, seed 10, made by an older program" in card
    config["data"]["left_out"] = ["fer2013.csv:16: 3 pixels; expected 2304"]
    (run / "config.json").write_text(json.dumps(config))
    assert "No training face was left out for being in PublicTest too." in _face_note(read_config(run))
