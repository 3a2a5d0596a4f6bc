"""Which variant of a bundle runs when none is named: the best that is there and holds what its kind should."""

import pytest

from affectd.errors import ModelError
from affectd.inference.bundle import Bundle
from affectd.inference.variant_choice import choose_variant
from support.bundles import broken


@pytest.fixture
def copied(face_model, tmp_path):
    """Make a bundle of the tiny face model whose variants agree with their parent so well, of these kinds."""

    def make(**agreements):
        def change(manifest):
            manifest["variants"] = {
                kind: {**manifest["variants"]["float32"], "file": f"{kind}.tflite", "agreement": agreement}
                for kind, agreement in agreements.items()
            }

        folder = broken(face_model.bundle, tmp_path, change)
        for kind in agreements:
            (folder / f"{kind}.tflite").touch()
        return Bundle.load(folder)

    return make


def test_auto_takes_int8_before_the_others(copied):
    bundle = copied(float32=1, float16=1, int8=0.99, dynamic=1)
    assert choose_variant(bundle, "auto", "cpu") == ("int8", "")
    assert choose_variant(bundle, "float32", "cpu") == ("float32", "")
    (bundle.folder / "int8.tflite").unlink()
    assert choose_variant(bundle, "auto", "cpu") == ("dynamic", "")


def test_auto_passes_over_a_variant_that_is_not_what_it_should_be_and_says_so(copied):
    kind, reason = choose_variant(copied(float32=1, float16=1, int8=0.9), "auto", "cpu")
    assert kind == "float16"
    assert reason == "int8 answers as its float parent in 90.0%, not 98.0%"


def test_where_none_is_what_it_should_be_the_best_is_taken(copied):
    kind, reason = choose_variant(copied(int8=0.7, dynamic=0.95), "auto", "cpu")
    assert kind == "dynamic"
    assert "int8 answers as its float parent in 70.0%" in reason


def test_litert_s_gpu_gets_what_it_runs(copied):
    bundle = copied(float32=1, float16=1, int8=1)
    assert choose_variant(bundle, "auto", "gpu") == ("float16", "")
    assert choose_variant(bundle, "int8", "gpu") == ("int8", "")


def test_a_bundle_without_files_and_a_kind_that_it_has_not(copied):
    bundle = copied(int8=1)
    with pytest.raises(ModelError, match="no variant 'float16'; this bundle has int8"):
        choose_variant(bundle, "float16", "cpu")
    (bundle.folder / "int8.tflite").unlink()
    with pytest.raises(ModelError, match=r"of int8\.tflite, which its manifest names, none is there; copy the bundle"):
        choose_variant(bundle, "auto", "cpu")
