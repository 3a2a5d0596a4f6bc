"""Models of one's own: every form gives the same logits, what does not fit is a sentence, and a bundle comes out."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.bundle import Bundle
from affectd_convert.bundling.custom_model import (
    _fed_wrongly,
    _read,
    _split,
    _with_statistics,
    check_output,
)
from affectd_convert.bundling.model_toml import read_own_model
from affectd_convert.commands.main import main
from affectd_convert.conversion.float_model import parent_logits
from affectd_convert.conversion.import_wanted import Wanted
from affectd_convert.datasets.clip_windows import clip_windows
from affectd_convert.datasets.labelled import Clips
from affectd_convert.errors import ConversionError, DataError
from support import own_models, tiny_models
from support.speech import speech as spoken

pytestmark = pytest.mark.timeout(400)

TOML = """
task = "face"
name = "my-face"
version = "1.2.0"
architecture = "three layers"
maturity = "a trial"
model = "layer_saved"
output = "softmax"
labels = ["Angry", "disgust", "fearful", "happiness", "neutral", "sad", "surprise"]

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


LIST = next(line for line in TOML.splitlines() if line.startswith("labels"))
"""Names that are known need no table."""
VOICE = TOML.partition("[preprocessing]")[0].replace('"face"', '"voice"') + "[features]\n[samples]"
VOICE += TOML.partition("[samples]")[2]


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
        (
            "size",
            "logits.keras: takes (24, 24, 1), but by the TOML the box makes (48, 48, 1); write in",
        ),
        (
            "channels",
            "logits_saved: takes (24, 24, 1), but by the TOML the box makes (24, 24, 3); write in",
        ),
        ("labels", "logits.keras: gives (any, 7), and labels names 8 outputs; name each once, in their order"),
        ("no softmax", "logits.keras: does not end in a softmax that can be taken off"),
        ("no softmax, saved", "logits_saved: does not end in a softmax that can be taken off"),
        ("two inputs", "two.keras: has 2 inputs and 1 outputs; affectd runs one of each"),
        ("no signature", "bare_saved: has no signature serving_default (it has none)"),
        ("no model", "empty_saved: not a SavedModel that can be loaded"),
        ("no Keras file", "foreign.h5: not a Keras model that can be loaded"),
        ("no format", "model.bin: of no format that affectd reads: .keras, .h5, .hdf5, .onnx,"),
        ("cut off ONNX", "cut.onnx: not an ONNX model that can be loaded"),
        ("unknown ONNX operation", "foreign.onnx: holds Hardmax, which affectd has no form of for the box"),
        (
            "channels, ONNX",
            "logits.onnx: takes (1, 24, 24), but by the TOML the box makes (24, 24, 3); write in",
        ),
        ("a batch of four", "four.onnx: takes 4 inputs at a time; export it for one, or for any number"),
        ("cut off TFLite", "cut.tflite: cut or damaged"),
        ("TensorFlow's operations in TFLite", "flex.tflite: holds Erf of TensorFlow itself, which no runtime on"),
        ("no softmax, TFLite", "logits.tflite: does not end in a softmax that can be taken off"),
    ],
)
def test_a_model_that_does_not_fit_is_a_sentence(forms, what, sentence):
    assert sentence in json.loads((forms / "refused.json").read_text())[what]


@pytest.mark.parametrize(
    ("takes", "makes", "lines"),
    [
        ((96, 96, 3), (48, 48, 1), 'size = 96 and colour = "rgb" or "bgr", as it was trained, or for grey repeated'),
        ((3, 224, 224), (48, 48, 1), 'size = 224 and colour = "rgb" or "bgr"'),
        ((64, 48, 1), (48, 48, 1), "write in [preprocessing] size = [64, 48]"),
        ((None, None, 3), (48, 48, 1), 'write in [preprocessing] colour = "rgb" or "bgr"'),
        ((96, 96, 4), (48, 48, 1), "the box makes pictures of a face, with 1 or 3 channels: train it for such"),
        ((2304,), (48, 48, 1), "the box makes pictures of a face"),
        ((8, 48, 48, 1), (48, 48, 1), "write in [preprocessing] frames = 8"),
        ((8, 3, 96, 96), (6, 48, 48, 3), "write in [preprocessing] frames = 8 and size = 96"),
        ((None, 48, 48, 1), (48, 48, 1), "write in [preprocessing] frames, as many as it was trained with"),
        ((48, 48, 1), (8, 48, 48, 1), "write in [preprocessing] frames = 1"),
        ((128, 64), (300, 83), "set in [features] the kind and the sizes that it was trained with"),
    ],
)
def test_a_shape_that_does_not_fit_has_its_lines(takes, makes, lines):
    with pytest.raises(ConversionError) as refused:
        Wanted(input=makes, output="logits", order=(0, 1)).layout(Path("my.keras"), takes)
    assert lines in str(refused.value)


def test_a_saved_model_with_outputs_of_its_own_names_and_number_becomes_a_bundle(forms, tmp_path, capsys):
    out = tmp_path / "models" / "my-face"
    named = (
        '{ Angry = "angry", Contempt = "none", fear = "fear", joy = "happy", n = "neutral", sad = "sad", o = "happy" }'
    )
    path = toml(forms, (LIST, f"labels = {named}"))
    assert main(["bundle", "--from", str(path), "--out", str(out), "--kinds", "int8"]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["labels"] == ["angry", "fear", "happy", "sad", "neutral"]
    assert manifest["outputs"] == ["angry", None, "fear", "happy", "neutral", "sad", "happy"]
    bundle = Bundle.load(out)
    assert (bundle.name, bundle.version, bundle.input_shape) == ("my-face", "1.2.0", (1, 24, 24, 1))
    # Scored on what it knows, by label and not by output.
    with np.load(forms / "test.npz") as held_out:
        foreign = [int(np.sum(held_out["label"] == LABELS.index(label))) for label in ("disgust", "surprise")]
    assert bundle.metrics[0].samples == 200 - sum(foreign)
    assert bundle.metrics[0].accuracy > 0.9
    assert bundle.variants["int8"].agreement >= 0.98
    card = (out / "CARD.md").read_text()
    assert "made up, other seed" in card
    assert f"left out: {foreign[0]} faces labelled disgust: the model does not know it; {foreign[1]} faces" in card
    said = capsys.readouterr().out
    assert f"left out of test.npz: {foreign[0]} faces labelled disgust: the model does not know it" in said
    assert f"{out}: written" in said
    assert main(["evaluate", "--model", str(out), "--data", str(forms / "test.npz"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["n"], scores["accuracy"]) == (bundle.metrics[0].samples, bundle.metrics[0].accuracy)


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
        ('"neutral"', '"contempt"', "labels: 'contempt' is none of angry, .*; write a table .* contempt = \"none\""),
        (LIST, 'labels = { a = "angry", b = "disdain" }', "labels.b must be one of angry, .*, none, not 'disdain'"),
        (LIST, 'labels = { a = "angry", b = "none" }', "labels must be of two or more of angry, disgust"),
        (LIST, "labels = 7", "labels must be the names of the model's outputs in their order"),
        (LIST, 'labels = ["happy", "calm"]', "'calm' is none of angry"),
        ('task = "face"', 'task = "gait"', "task must be one of face, voice, not 'gait'"),
        ('output = "softmax"', 'output = "sigmoid"', "output must be one of logits, softmax"),
        ('version = "1.2.0"', "", "version is missing"),
        ('version = "1.2.0"', 'version = "1.2.0"\nlicense = "x"', "unknown key license"),
        ('name = "my-face"', 'name = "../my face"', "name must be letters, digits"),
        ("[samples]", "[samples", "cannot be read as TOML"),
        ('held_out = "test.npz"', "", "samples.held_out is missing"),
        ("size = 24", "size = '24'", "preprocessing.size must be a whole number"),
        ("size = 24", "size = 0", "preprocessing.size must be a whole number in 1"),
        ("size = 24", "sise = 24", "unknown key preprocessing.sise"),
        ("size = 24", "channels = 2", "preprocessing.channels must be 1 or 3, not 2"),
        ("size = 24", 'colour = "blue"', "preprocessing.colour must be one of grey, rgb, bgr, not 'blue'"),
        ("equalize = false", "equalize = 0", "preprocessing.equalize must be true or false, not 0"),
        ("mean = 128.0", "mean = [124, 116, 104]", "preprocessing.mean must be a number"),
        ("std = 25.0", "std = 0.0", "preprocessing.std must be a number"),
    ],
)
def test_a_toml_that_says_what_is_not_allowed(tmp_path, old, new, sentence):
    with pytest.raises(ModelError, match=rf"my\.toml: .*{sentence}"):
        read_own_model(toml(tmp_path, (old, new)))


def test_the_examples_of_the_readme_are_read(tmp_path):
    readme = (Path(__file__).parents[3] / "convert" / "README.md").read_text()
    face, voice = (read_own_model(toml(tmp_path, text=text)) for text in re.findall(r"```toml\n(.*?)```", readme, re.S))
    assert (face.input_shape, face.outputs.outputs) == (
        (96, 96, 3),
        ("angry", None, "fear", "happy", "happy", "neutral"),
    )
    assert (voice.input_shape, voice.normalize, voice.outputs.labels) == ((300, 64), True, VOICE_LABELS)


def test_colour_has_a_mean_for_each_channel_and_pictures_keep_theirs(tmp_path):
    changes = (
        ("size = 24", 'size = 32\ncolour = "rgb"'),
        ("mean = 128.0", "mean = [124, 116, 104]"),
        ("equalize = false", ""),
    )
    own = read_own_model(toml(tmp_path, *changes))
    assert (own.input_shape, own.preprocessing.mean) == ((32, 32, 3), (124.0, 116.0, 104.0))
    red = np.zeros((2, 64, 64, 3), np.uint8)
    red[..., 0] = 200
    np.savez(tmp_path / "red.npz", pixels=red, label=[0, 1])
    (tmp_path / "test" / "angry").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "test" / "angry" / "red.png"), red[0, ..., ::-1])
    for samples in ("red.npz", "test"):
        inputs = _split(own, _read(own, tmp_path / samples), "").inputs
        np.testing.assert_allclose(inputs[0, 0, 0], np.array([200 - 124, -116, -104]) / 25, atol=0.1, err_msg=samples)


def test_what_a_voice_leaves_out_is_computed_and_what_does_not_fit_is_a_sentence(tmp_path):
    table = "[features]\n"

    def read(*lines):
        return read_own_model(toml(tmp_path, (table, "\n".join((table, *lines, ""))), text=VOICE))

    for lines, sentence in (
        (["mean = [1.0]", "std = [1.0]"], "features.mean must be 83 values, one for each column, not 1"),
        (["normalize = 1"], "features.normalize must be true or false"),
        (
            ["normalize = true", 'kind = "log-mel"', "mean = [0.0]", "std = [1.0]"],
            "features.normalize must be left out",
        ),
        (["window_frames = 0"], "features.window_frames must be 1 or more, not 0"),
        (["filers = 40"], "features.filers is unknown to kind mfcc"),
    ):
        with pytest.raises(ModelError, match=rf"my\.toml: {sentence}"):
            read(*lines)
    sound = np.rint(spoken(tmp_path, "Dogs are sitting by the door.")).astype(np.int16)
    clips = Clips((sound,), np.array([3]), ("one",))
    fitted = _with_statistics(read("window_frames = 100"), clips).features
    windows = clip_windows(sound, fitted)
    assert fitted.shape == (100, 83)
    np.testing.assert_allclose(windows.mean(axis=(0, 1)), np.zeros(83), atol=0.05)
    # Log-mel is normalized when it is asked for.
    assert not _with_statistics(read('kind = "log-mel"'), clips).features.mean
    assert len(_with_statistics(read('kind = "log-mel"', "normalize = true"), clips).features.mean) == 64
    # MFCC of a network that normalizes inside.
    assert set(_with_statistics(read("normalize = false"), clips).features.std) == {1.0}


def test_samples_that_cannot_be_held_out(tmp_path, capsys):
    own = read_own_model(toml(tmp_path, (LIST, 'labels = { a = "angry", b = "disgust" }')))
    pixels = " ".join(["0 255"] * 1152)
    rows = [f"{label},{pixels}" for label in range(7)]
    # Without the column all are taken, as of an npz without `usage`: all that the model knows.
    held_out = tmp_path / "test.csv"
    held_out.write_text("\n".join(("emotion,pixels", *rows)))
    assert _read(own, held_out).truth.tolist() == [0, 1]
    assert "left out of test.csv: 1 faces labelled neutral: the model does not know it" in capsys.readouterr().out
    held_out.write_text("\n".join(("emotion,pixels,Usage", *(f"{row},Training" for row in rows))))
    with pytest.raises(
        DataError, match=r"test\.csv: every face of it is of usage Training; held_out takes faces never"
    ):
        _read(own, held_out)
    np.savez(tmp_path / "foreign.npz", pixels=np.zeros((3, 48, 48), np.uint8), label=[3, 3, 4])
    with pytest.raises(DataError, match=r"no face of angry, disgust, which the model knows; 2 faces labelled happy"):
        _read(own, tmp_path / "foreign.npz")
    same = replace(own, representative=tmp_path / "foreign.npz", held_out=tmp_path / "foreign.npz")
    with pytest.raises(DataError, match=r"foreign\.npz: is representative and held_out at once, .*; give other faces"):
        _read(same, same.held_out)
    np.savez(tmp_path / "none.npz", pixels=np.zeros((0, 48, 48), np.uint8), label=[])
    with pytest.raises(DataError, match=r"none\.npz: no readable face; it has no rows"):
        _read(own, tmp_path / "none.npz")


def test_a_model_or_samples_that_are_not_there(tmp_path, capsys):
    with pytest.raises(ModelError, match=r"my\.toml: cannot be read as TOML"):
        read_own_model(tmp_path / "my.toml")
    arguments = ["bundle", "--from", str(toml(tmp_path)), "--out", str(tmp_path / "out")]
    for name, key, code in (
        ("layer_saved", "model", 9),
        ("train.npz", "representative", 5),
        ("test.npz", "held_out", 5),
    ):
        assert main(arguments) == code
        said = capsys.readouterr().err
        assert f"{tmp_path / name}: not there; {key} in {tmp_path / 'my.toml'} is relative to that file" in said
        (tmp_path / name).mkdir()


def test_a_network_that_is_scaled_twice_is_told(forms):
    own = read_own_model(toml(forms))
    training = _read(own, forms / "train.npz", training=True)
    clause = _fed_wrongly(own, forms / "rescaling.keras", training)
    assert clause.startswith("of 100 training samples it has ")
    assert clause.endswith("% with mean = 0.0, std = 1.0: it scales its input itself")
