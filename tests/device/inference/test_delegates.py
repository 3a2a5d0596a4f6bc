"""Delegates: used when they answer as the CPU does, left for the CPU, with a word in the log, when not."""

import logging
import subprocess
from pathlib import Path

import pytest

from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import installed_runtimes
from affectd.inference.model import open_model

pytestmark = pytest.mark.timeout(400)
SOURCE = Path(__file__).parents[2] / "support" / "delegate.c"


@pytest.fixture(params=installed_runtimes())
def runtime(request):
    return request.param


def build(folder, *flags):
    library = folder / "delegate.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, SOURCE, *flags], check=True)
    return str(library)


def test_a_delegate_that_answers_right_is_used(face_model, runtime, tmp_path, caplog):
    library = build(tmp_path)
    model = open_model(Bundle.load(face_model.bundle), "int8", runtime=runtime, delegate=library)
    assert model.delegate == library
    assert not caplog.records


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["-DWRONG"], "wrong answers on the golden samples"),
        (["-DABSENT"], "no device found"),
        (["-DFOREIGN"], "not a TFLite delegate"),
    ],
)
def test_a_delegate_that_fails_is_left_for_the_cpu(face_model, runtime, tmp_path, caplog, flags, reason):
    bundle = Bundle.load(face_model.bundle)
    with caplog.at_level(logging.WARNING):
        model = open_model(bundle, "int8", runtime=runtime, delegate=build(tmp_path, *flags))
    assert model.delegate == "cpu"
    [record] = caplog.records
    assert "is left for the CPU" in record.getMessage()
    assert reason in record.getMessage()
    sample = bundle.golden().inputs[0]
    assert (model.logits(sample) == open_model(bundle, "int8", runtime=runtime).logits(sample)).all()


@pytest.mark.parametrize("delegate", ["edgetpu", "/nowhere/libdelegate.so"])
def test_a_missing_library_is_left_for_the_cpu(face_model, runtime, caplog, delegate):
    with caplog.at_level(logging.WARNING):
        model = open_model(Bundle.load(face_model.bundle), "int8", runtime=runtime, delegate=delegate)
    assert model.delegate == "cpu"
    assert "cannot be loaded" in caplog.text
