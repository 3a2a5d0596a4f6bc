"""Conversion: the four kinds, the fused LSTM, and failures that stay in their own process."""

import time

import numpy as np
import pytest

from affectd.inference.interpreter import Interpreter, load_runtime
from affectd_convert.bounded import run_module
from affectd_convert.errors import ConversionError
from affectd_convert.quantize import quantize
from support import tiny_models

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8"])
def test_the_lstm_becomes_one_fused_operation(voice_model, kind):
    details = load_runtime("litert").module.Interpreter(model_path=str(voice_model.variants[kind]))._get_ops_details()
    names = {operation["op_name"] for operation in details}
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in names
    assert not names & {"WHILE", "MUL"}, "loops or batch normalization that was not folded"


def test_only_int8_takes_int8(face_model, voice_model):
    runtime = load_runtime("auto")
    for made in (face_model, voice_model):
        for kind, path in made.variants.items():
            model = Interpreter(path, runtime)
            expected = "int8" if kind == "int8" else "float32"
            assert (model.input_type.dtype, model.output_type.dtype) == (expected, expected)
            assert model.input_shape[0] == 1


def test_a_conversion_past_its_bounds_is_killed(face_model, tmp_path):
    inputs, _ = tiny_models.samples("face", 10, seed=1)
    with pytest.raises(ConversionError, match=r"holds more than 0\.1 GB"):
        quantize(face_model.model, inputs, tmp_path, ["int8"], memory_gb=0.1)
    began = time.monotonic()
    with pytest.raises(ConversionError, match=r"takes longer than 0\.5 s"):
        quantize(face_model.model, inputs, tmp_path, ["int8"], timeout_s=0.5)
    assert time.monotonic() - began < 30
    assert not list(tmp_path.glob("*.tflite"))


def test_a_crash_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "crashing.py").write_text(
        "import os, signal\nprint('deep in it', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConversionError, match=r"the step crashed \(SIGSEGV\); the last it said: deep in it"):
        run_module("crashing", [], what="the step")


def test_what_cannot_be_converted(face_model, tmp_path):
    inputs, _ = tiny_models.samples("face", 10, seed=1)
    with pytest.raises(ConversionError, match=r"nothing\.keras: not there"):
        quantize(tmp_path / "nothing.keras", inputs, tmp_path, ["int8"])
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ConversionError, match=r"foreign\.keras: not a Keras model"):
        quantize(foreign, inputs, tmp_path, ["int8"])
    with pytest.raises(ConversionError, match="NaN"):
        quantize(face_model.model, np.full_like(inputs, np.nan), tmp_path, ["int8"])
