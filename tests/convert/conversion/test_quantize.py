"""Conversion: the four kinds, the fused LSTM, and failures that stay in their own process."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from affectd.inference.interpreter import Interpreter, installed_runtimes, load_runtime
from affectd_convert.conversion import bounded_process
from affectd_convert.conversion.bounded_process import Bounds, run_module
from affectd_convert.conversion.quantize import quantize
from affectd_convert.errors import ConversionError
from support import tiny_models

pytestmark = pytest.mark.timeout(400)


def operations(path):
    details = load_runtime("litert").module.Interpreter(model_path=str(path))._get_ops_details()
    return [operation["op_name"] for operation in details]


@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_each_lstm_becomes_one_fused_operation(voice_model, kind):
    names = operations(voice_model.variants[kind])
    assert names.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 2, "forwards and backwards"
    assert not {"WHILE", "MUL"} & set(names), "loops or batch normalization that was not folded"


def test_in_float16_the_lstm_is_unrolled_for_gpus(voice_model):
    names = operations(voice_model.variants["float16"])
    steps = 40 // 4
    assert names.count("TANH") == 2 * 2 * steps, "a cell has two, and there are two ways"
    assert not {"WHILE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "VAR_HANDLE"} & set(names)


def test_litert_compiles_the_unrolled_form_and_answers_as_the_interpreter(voice_model):
    # A process of its own: the compiled runtime keeps threads.
    inputs, _ = tiny_models.samples("voice", 5, seed=4)
    expected = Interpreter(voice_model.variants["float16"], load_runtime("litert")).run(inputs)
    program = (
        "import sys, numpy as np\n"
        "from ai_edge_litert.compiled_model import CompiledModel\n"
        "from ai_edge_litert.hardware_accelerator import HardwareAccelerator\n"
        "model = CompiledModel.from_file(sys.argv[1], hardware_accel=HardwareAccelerator.CPU)\n"
        "ways_in, ways_out = model.create_input_buffers(0), model.create_output_buffers(0)\n"
        "answers = []\n"
        "for sample in np.load(sys.argv[2]):\n"
        "    ways_in[0].write(np.ascontiguousarray(sample))\n"
        "    model.run_by_index(0, ways_in, ways_out)\n"
        "    answers.append(ways_out[0].read(8, np.float32))\n"
        "np.save(sys.argv[2], answers)\n"
    )
    path = voice_model.model.with_name("compiled.npy")
    np.save(path, inputs)
    subprocess.run([sys.executable, "-c", program, voice_model.variants["float16"], path], check=True, timeout=200)
    np.testing.assert_allclose(np.load(path), expected, atol=0.01)


def test_the_unrolled_form_has_no_state_to_forget(voice_model):
    model = Interpreter(voice_model.variants["float16"], load_runtime("auto"))
    inputs, _ = tiny_models.samples("voice", 5, seed=4)
    np.testing.assert_array_equal(model.run(inputs), model.run(inputs[::-1])[::-1])


def test_what_is_converted_is_not_converted_again(face_model, tmp_path, capsys):
    inputs, _ = tiny_models.samples("face", 10, seed=1)
    for name in ("int8.tflite", "int8.made-of"):
        shutil.copy(face_model.variants["int8"].with_name(name), tmp_path)
    original, _ = tiny_models.samples("face", 100, seed=2)
    before = (tmp_path / "int8.tflite").stat()
    made = quantize(face_model.model, original, tmp_path, ["int8"])["int8"].stat()
    assert (made.st_ino, made.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "int8: already converted" in capsys.readouterr().out
    # Other samples give other ranges.
    with pytest.raises(ConversionError, match=r"takes longer than 0\.1 s"):
        quantize(face_model.model, inputs, tmp_path, ["int8"], bounds=Bounds(timeout_s=0.1))
    assert not (tmp_path / "int8.made-of").exists()


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
        quantize(face_model.model, inputs, tmp_path, ["int8"], bounds=Bounds(memory_gb=0.1))
    began = time.monotonic()
    with pytest.raises(ConversionError, match=r"takes longer than 0\.5 s"):
        quantize(face_model.model, inputs, tmp_path, ["int8"], bounds=Bounds(timeout_s=0.5))
    assert time.monotonic() - began < 30
    assert not list(tmp_path.glob("*.tflite"))


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        (
            "os.kill(os.getpid(), signal.SIGSEGV)",
            r"a fault in native code.* \(SIGSEGV\); leave this kind",
        ),
        ("os.kill(os.getpid(), signal.SIGKILL)", r"killed from outside, .* memory runs out \(SIGKILL\); free memory"),
        ("os.abort()", r"gave up \(SIGABRT\); the last it said: deep in it; leave this kind"),
    ],
)
def test_a_crash_is_a_sentence(tmp_path, monkeypatch, ends, sentence):
    logged = "I0000 00:00:1796052579.149793   20355 port.cc:153] oneDNN custom operations are on"
    program = f"import os, signal\nprint('deep in it', flush=True)\nprint({logged!r}, flush=True)\n{ends}\n"
    (tmp_path / "crashing.py").write_text(program)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConversionError, match=f"the step crashed: .*{sentence}") as caught:
        run_module("crashing", [], what="the step")
    assert "oneDNN" not in str(caught.value)


def test_a_step_that_takes_long_is_reported_while_it_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1.5)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bounded_process, "STILL_S", 0.4)
    run_module("slow", [], what="model.keras: converting")
    assert re.search(r"^model\.keras: converting: \d s so far, 0\.\d GB$", capsys.readouterr().err, re.MULTILINE)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """What `support.odd_models` makes."""
    folder = tmp_path_factory.mktemp("odd")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "support.odd_models", folder]
    subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, check=True, timeout=380)
    return folder


def test_recurrent_layers_nested_and_augmented_run_in_int8_on_both_runtimes(odd):
    names = operations(odd / "recurrent.tflite")
    assert names.count("UNIDIRECTIONAL_SEQUENCE_LSTM") == 2
    assert "WHILE" not in names
    with np.load(odd / "recurrent.npz") as arrays:
        inputs, logits = arrays["inputs"], arrays["logits"]
    for runtime in installed_runtimes():
        model = Interpreter(odd / "recurrent.tflite", load_runtime(runtime))
        assert model.input_type.dtype == "int8"
        # Untrained: its logits are small and near to each other, so agreement would say little.
        assert np.corrcoef(model.run(inputs).ravel(), logits.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("name", ["behind-1d", "behind-2d"])
def test_normalization_behind_an_activation_folds_into_the_next_layer(odd, name):
    names = operations(odd / f"{name}-int8.tflite")
    # Of the one that pads by itself an axis each; and in 1-D that of the two LSTMs.
    assert names.count("CONCATENATION") == 2
    assert (names.count("MUL"), names.count("ADD")) == (1, 1), "that in front of a maximum, with a channel turned round"
    with np.load(odd / f"{name}.npz") as arrays:
        inputs, logits = arrays["inputs"], arrays["logits"]
    for runtime in installed_runtimes():
        exact = Interpreter(odd / f"{name}-float32.tflite", load_runtime(runtime)).run(inputs)
        np.testing.assert_allclose(exact, logits, atol=1e-4 * np.abs(logits).max())
        quantized = Interpreter(odd / f"{name}-int8.tflite", load_runtime(runtime)).run(inputs)
        assert np.corrcoef(quantized.ravel(), logits.ravel())[0, 1] > 0.99


def test_int8_that_misses_its_bar_is_mended_by_other_ranges_and_says_so(odd):
    mended = json.loads((odd / "mended.json").read_text())
    assert mended["file"] == "int8-fitted.tflite"
    (remark,) = mended["remarks"]
    assert remark.startswith("int8 was mended: fitted ranges")
    agreement = dict(re.findall(r"(ranges by the extremes|fitted ranges): agreement ([\d.]+)%", remark))
    assert float(agreement["ranges by the extremes"]) < 95 < 98 <= float(agreement["fitted ranges"])


def test_a_layer_that_stays_in_float_stands_between_int8_ones(odd):
    assert Interpreter(odd / "mixed.tflite", load_runtime("auto")).input_type.dtype == "int8"
    names = operations(odd / "mixed.tflite")
    assert {"DEQUANTIZE", "QUANTIZE"} <= set(names)
    assert not {"DEQUANTIZE", "QUANTIZE"} & set(operations(odd / "tflite" / "int8-fitted.tflite"))


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
