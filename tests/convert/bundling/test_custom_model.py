"""Models of one's own: every form gives the same logits, what does not fit is a sentence, and a bundle comes out."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.bundle import Bundle
from affectd.voice.features import MfccFeatures
from affectd_convert.bundling.custom_model import _samples, check_output, read_own_model
from affectd_convert.commands.main import main
from affectd_convert.conversion.float_model import parent_logits
from affectd_convert.errors import ConversionError, DataError
from support import own_models, tiny_models

pytestmark = pytest.mark.timeout(400)

TOML = """
task = "face"
name = "my-face"
version = "1.2.0"
architecture = "three layers"
maturity = "a trial"
model = "layer_saved"
output = "softmax"
labels = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]

[preprocessing]
size = 24
equalize = false
mean = 128.0
std = 25.0

[samples]
representative = "train.npz"
held_out = "test.npz"
split = "made up, other seed"

[[training_data]]
name = "made up"
licence = "none needed"
use = "800 samples"
"""


@pytest.fixture(scope="module")
def forms(face_model, tmp_path_factory):
    """A folder with the tiny model in every form, and what importing them gave."""
    folder = tmp_path_factory.mktemp("own")
    paths = [str(Path(own_models.__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, own_models.__file__, face_model.model, folder]
    subprocess.run(command, env=environment, check=True, timeout=300)
    for name, count, seed in (("train", 200, 2), ("test", 200, 5)):
        inputs, truth = tiny_models.samples("face", count, seed)
        pixels = np.clip(np.rint(inputs[..., 0] * 25 + 128), 0, 255).astype(np.uint8)
        np.savez(folder / f"{name}.npz", pixels=pixels, label=truth)
    return folder


def toml(folder: Path, *changes: tuple[str, str], text: str = TOML) -> Path:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "my.toml"
    path.write_text(text)
    return path


def test_every_form_gives_the_logits_of_the_model_in_affectds_order(forms, face_model):
    expected = parent_logits(face_model.model, tiny_models.samples("face", 20, seed=5)[0])
    with np.load(forms / "logits.npz") as logits:
        assert set(logits) == set(own_models.FORMS)
        for form in own_models.FORMS:
            np.testing.assert_allclose(logits[form], expected, atol=1e-4, err_msg=form)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("size", "logits.keras: takes (24, 24, 1), but the box would give it (48, 48, 1); set the size, or"),
        ("channels", "logits_saved: takes (24, 24, 1), but the box would give it (24, 24, 3)"),
        ("labels", "logits.keras: gives (any, 7) for 8 labels; expected (any, 8)"),
        ("no softmax", "logits.keras: does not end in a softmax that can be taken off"),
        ("no softmax, saved", "logits_saved: does not end in a softmax that can be taken off"),
        ("two inputs", "two.keras: has 2 inputs and 1 outputs; affectd runs one of each"),
        ("no signature", "bare_saved: has no signature serving_default (it has none)"),
        ("no model", "empty_saved: not a SavedModel that can be loaded"),
        ("no Keras file", "foreign.h5: not a Keras model that can be loaded"),
        ("no format", "model.bin: of no format that affectd reads: .keras, .h5, .hdf5, .onnx,"),
        ("cut off ONNX", "cut.onnx: not an ONNX model that can be loaded"),
        ("unknown ONNX operation", "foreign.onnx: holds Hardmax, which affectd has no form of for the box"),
        ("channels, ONNX", "logits.onnx: takes (1, 24, 24), but the box would give it (24, 24, 3)"),
        ("a batch of four", "four.onnx: takes 4 inputs at a time; export it for one, or for any number"),
        ("cut off TFLite", "cut.tflite: cut or damaged"),
        ("TensorFlow's operations in TFLite", "flex.tflite: holds Erf of TensorFlow itself, which no runtime on"),
        ("no softmax, TFLite", "logits.tflite: does not end in a softmax that can be taken off"),
    ],
)
def test_a_model_that_does_not_fit_is_a_sentence(forms, what, sentence):
    assert sentence in json.loads((forms / "refused.json").read_text())[what]


def test_a_saved_model_with_a_softmax_and_its_own_order_becomes_a_bundle(forms, tmp_path, capsys):
    out = tmp_path / "models" / "my-face"
    assert main(["bundle", "--from", str(toml(forms)), "--out", str(out), "--kinds", "int8"]) == 0
    bundle = Bundle.load(out)
    assert (bundle.name, bundle.version, bundle.labels, bundle.input_shape) == (
        "my-face",
        "1.2.0",
        LABELS,
        (1, 24, 24, 1),
    )
    assert bundle.metrics[0].accuracy > 0.9
    assert bundle.variants["int8"].agreement >= 0.98
    assert "made up, other seed" in (out / "CARD.md").read_text()
    assert f"{out}: written" in capsys.readouterr().out


def test_probabilities_that_are_called_logits_are_a_sentence(tmp_path):
    own = read_own_model(toml(tmp_path))
    softmax = np.full((5, 7), 1 / 7, np.float32)
    with pytest.raises(ConversionError, match="gives probabilities, not logits; set output = 'softmax'"):
        check_output(own, softmax)
    with pytest.raises(ConversionError, match="NaN or infinity"):
        check_output(own, softmax * np.nan)
    check_output(own, np.log(softmax))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"neutral"', '"contempt"', r"labels must be angry .*\(contempt: not known to affectd"),
        (', "neutral"', "", "labels must be angry disgust"),
        ('task = "face"', 'task = "gait"', "task must be one of face, voice, not 'gait'"),
        ('output = "softmax"', 'output = "sigmoid"', "output must be one of logits, softmax"),
        ('version = "1.2.0"', "", "version is missing"),
        ('version = "1.2.0"', 'version = "1.2.0"\nlicense = "x"', "unknown key license"),
        ("size = 24", "size = '24'", "preprocessing.size must be a whole number, not '24'"),
        ("equalize = false", "equalize = 0", "preprocessing.equalize must be true or false, not 0"),
        ("mean = 128.0", "mean = [128.0]", "preprocessing.mean must be a number"),
        ("size = 24", "sise = 24", "face preprocessing does not fit this affectd: .*sise"),
        ('name = "my-face"', 'name = "../my face"', "name must be letters, digits"),
        ("[samples]", "[samples", "cannot be read as TOML"),
        ("size = 24", "size = 0", "preprocessing.size must be 1 or more, not 0"),
        ("std = 25.0", "std = 0.0", "preprocessing.std must be above 0"),
    ],
)
def test_a_toml_that_says_what_is_not_allowed(tmp_path, old, new, sentence):
    with pytest.raises(ModelError, match=sentence if "face prep" in sentence else rf"my\.toml: .*{sentence}"):
        read_own_model(toml(tmp_path, (old, new)))


def test_a_voice_toml_needs_the_statistics_of_its_features(tmp_path):
    labels = ", ".join(f'"{label}"' for label in sorted(VOICE_LABELS))
    head = TOML.partition("[preprocessing]")[0].replace('"face"', '"voice"')
    head = head.replace(TOML.partition("labels = [")[2].partition("]")[0], labels)
    tail = "[samples]" + TOML.partition("[samples]")[2]
    with pytest.raises(ModelError, match=r"features\.mean must be 83 values, one for each column, not 0"):
        read_own_model(toml(tmp_path, text=f"{head}[features]\n{tail}"))
    statistics = f"mean = {[0.0] * 83}\nstd = {[1.0] * 83}\n"
    own = read_own_model(toml(tmp_path, text=f"{head}[features]\nwindow_frames = 200\n{statistics}{tail}"))
    for line, sentence in (
        ("sample_rate = 8000", "features.high_hz must be at most half of sample_rate, 4000, not 8000.0"),
        ("window_frames = 0", "features.window_frames must be 1 or more, not 0"),
        ("pitch_window_s = 0.01", "features.pitch_window_s must be frame_s or more"),
        ("pitch_low_hz = 20.0", "features.pitch_window_s must be longer than a period of pitch_low_hz, 0.05"),
    ):
        with pytest.raises(ModelError, match=sentence):
            read_own_model(toml(tmp_path, text=f"{head}[features]\n{line}\n{statistics}{tail}"))
    assert own.input_shape == (200, MfccFeatures().columns)
    assert own.affectd_labels == VOICE_LABELS


def test_held_out_faces_that_were_trained_on_are_refused(tmp_path):
    pixels = " ".join(["0 255"] * 1152)
    rows = "\n".join(f"{label},{pixels}" for label in range(7))
    own = dataclasses.replace(read_own_model(toml(tmp_path)), held_out=tmp_path / "test.csv")
    own.held_out.write_text(f"emotion,pixels\n{rows}\n")
    # Without the column all are taken, as of an npz without `usage`.
    assert _samples(own, own.held_out, "test").truth.tolist() == list(range(7))
    own.held_out.write_text("emotion,pixels,Usage\n" + "".join(f"{row},Training\n" for row in rows.splitlines()))
    with pytest.raises(
        DataError, match=r"test\.csv: every face of it is of usage Training; held_out takes faces never"
    ):
        _samples(own, own.held_out, "test")


def test_a_model_or_samples_that_are_not_there(tmp_path, capsys):
    with pytest.raises(ModelError, match=r"my\.toml: cannot be read as TOML"):
        read_own_model(tmp_path / "my.toml")
    arguments = ["bundle", "--from", str(toml(tmp_path)), "--out", str(tmp_path / "out")]
    assert main(arguments) == ConversionError.exit_code
    assert "layer_saved: not there" in capsys.readouterr().err
    (tmp_path / "layer_saved").mkdir()
    assert main(arguments) == DataError.exit_code
    assert "train.npz: no FER2013 here" in capsys.readouterr().err
