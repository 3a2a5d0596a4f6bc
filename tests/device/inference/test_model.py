"""Models on both runtimes: right answers, no memory between inputs, wrong answers refused."""

import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import installed_runtimes, load_runtime
from affectd.inference.model import open_model, softmax
from support.bundles import answering_wrongly

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(params=installed_runtimes())
def runtime(request):
    return request.param


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8"])
def test_the_lstm_forgets_one_input_before_the_next(voice_model, runtime, kind):
    bundle = Bundle.load(voice_model.bundle)
    model = open_model(bundle, kind, runtime=runtime)
    first, *others = bundle.golden().inputs[:6]
    answer = model.logits(first)
    for other in others:
        assert (model.logits(other) != answer).any()
    np.testing.assert_array_equal(model.logits(first), answer)


def test_answers_are_those_of_the_float_parent(face_model, runtime):
    bundle = Bundle.load(face_model.bundle)
    golden = bundle.golden()
    exact = open_model(bundle, "float32", runtime=runtime).interpreter.run(golden.inputs)
    np.testing.assert_allclose(exact, golden.logits, atol=1e-3)
    rounded = open_model(bundle, "int8", runtime=runtime).interpreter.run(golden.inputs)
    assert np.abs(rounded - golden.logits).mean() < 0.1 * golden.logits.std()


def test_logits_are_the_callers_own(face_model, runtime):
    bundle = Bundle.load(face_model.bundle)
    model = open_model(bundle, "float32", runtime=runtime)
    a, b = bundle.golden().inputs[:2]
    first = model.logits(a)
    kept = first.copy()
    model.logits(b)
    np.testing.assert_array_equal(first, kept)


def test_inputs_beyond_the_int8_range_saturate(face_model, runtime):
    model = open_model(Bundle.load(face_model.bundle), "int8", runtime=runtime)
    huge, large = (np.full((24, 24, 1), value, np.float32) for value in (1e6, 1e3))
    np.testing.assert_array_equal(model.logits(huge), model.logits(large))


def test_probabilities_are_calibrated(voice_model, runtime):
    bundle = Bundle.load(voice_model.bundle)
    model = open_model(bundle, "int8", runtime=runtime)
    x = bundle.golden().inputs[0]
    probabilities = model.probabilities(x[np.newaxis])
    assert len(probabilities) == len(model.labels) == 8
    assert sum(probabilities) == pytest.approx(1)
    logits = model.logits(x).astype(float)
    expected = np.exp(logits / bundle.temperature) / np.exp(logits / bundle.temperature).sum()
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert model.description == "voice-tiny 0.0.1 int8"
    assert model.runtime == installed_runtimes()[runtime]


def test_an_input_of_another_shape_is_a_mistake_of_the_caller(face_model):
    model = open_model(Bundle.load(face_model.bundle), "int8")
    with pytest.raises(ValueError, match="the model takes"):
        model.logits(np.zeros((48, 48, 1), np.float32))


def test_a_model_that_answers_wrongly_is_refused(face_model, runtime, tmp_path):
    folder = answering_wrongly(face_model.bundle, tmp_path)
    with pytest.raises(ModelError, match="wrong answers on the golden samples"):
        open_model(Bundle.load(folder), "int8", runtime=runtime)


def test_auto_takes_litert_where_it_is_installed():
    assert load_runtime("auto").key == "litert"


def test_softmax_of_huge_logits_is_finite():
    np.testing.assert_allclose(softmax(np.array([1e4, 0.0], np.float32)), [1, 0])
