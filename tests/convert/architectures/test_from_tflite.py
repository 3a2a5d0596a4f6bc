"""Training goes on from a shipped bundle: its folded weights are put back, and the function is the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from affectd_convert.architectures import vgg16
from affectd_convert.architectures.from_tflite import restore
from affectd_convert.conversion.quantize import quantize
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.training.initial_weights import is_bundle, record_of

WIDTHS = vgg16.Widths((4, 6, 8, 8, 8), 16)
RNG = np.random.default_rng(2)
FACES = RNG.standard_normal((32, 48, 48, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    """A small VGG whose batch normalizations have learnt something."""
    model = vgg16.build(7, size=48, widths=WIDTHS)
    for layer in model.layers:
        if layer.name.endswith("_bn"):
            size = len(layer.get_weights()[0])
            spread = [RNG.uniform(low, high, size) for low, high in ((0.5, 1.5), (-0.5, 0.5), (-0.2, 0.2), (0.5, 2))]
            layer.set_weights(spread)
    return model


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    trained.save(folder / "model.keras")
    variants = quantize(folder / "model.keras", FACES, folder, ("float16",))
    named = {kind: {"file": path.name} for kind, path in variants.items()}
    (folder / "manifest.json").write_text(json.dumps({"variants": named}))
    return folder


def test_the_network_answers_as_the_one_that_was_shipped(trained, bundle: Path) -> None:
    again = restore(vgg16.build(7, size=None, widths=WIDTHS), bundle, FACES)
    wanted = trained.predict(FACES, verbose=0)
    assert np.abs(again.predict(FACES, verbose=0) - wanted).max() < 0.01 * np.abs(wanted).max()


def test_what_flows_through_it_is_normalized_anew(bundle: Path) -> None:
    import keras

    again = restore(vgg16.build(7, size=48, widths=WIDTHS), bundle, FACES)
    seen = keras.Model(again.input, again.get_layer("block2_conv1").output).predict(FACES, verbose=0)
    _, _, mean, variance = again.get_layer("block2_conv1_bn").get_weights()
    assert np.allclose(seen.mean(axis=(0, 1, 2)), mean, atol=1e-4)
    assert np.allclose(seen.var(axis=(0, 1, 2)), variance, rtol=1e-3)


def test_another_network_is_refused(bundle: Path) -> None:
    with pytest.raises(TrainingError, match="another network"):
        restore(vgg16.build(7, size=48, widths=vgg16.Widths((4, 6, 8, 8, 4), 16)), bundle, FACES)


def test_whole_numbers_alone_are_no_beginning(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"variants": {"int8": {"file": "int8.tflite"}}}))
    with pytest.raises(DataError, match="has no variant float32 or float16"):
        restore(vgg16.build(7, size=48, widths=WIDTHS), tmp_path, FACES)


def test_the_record_of_a_bundle_lies_beside_its_models(bundle: Path, tmp_path: Path) -> None:
    assert is_bundle(bundle)
    assert record_of(bundle) == bundle / "training"
    assert record_of(tmp_path) == tmp_path
