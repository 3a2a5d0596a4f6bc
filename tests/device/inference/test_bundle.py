"""Manifests and files of a bundle: real ones load, every fault is one sentence that says what to do."""

import copy
import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import affectd.inference
from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import installed_runtimes
from affectd.inference.model import label_probabilities, open_model
from support.bundles import broken

pytestmark = pytest.mark.timeout(400)
SCHEMA = json.loads(Path(affectd.inference.__file__).with_name("manifest.schema.json").read_text())
SHIPPED = sorted(Path(__file__).parents[3].glob("models/*/manifest.json"))


def assert_sentence(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_a_written_bundle_says_everything(face_model, voice_model):
    face, voice = Bundle.load(face_model.bundle), Bundle.load(voice_model.bundle)
    assert face.labels == LABELS
    assert voice.labels == VOICE_LABELS
    assert face.input_shape == (1, 24, 24, 1)
    assert face.preprocessing == {"size": 24}
    assert voice.features == {"sample_rate": 16000}
    assert set(face.variants) == {"float32", "int8"}
    assert face.variants["int8"].input.dtype == "int8"
    assert face.variants["int8"].input.scale > 0
    assert len(voice.skill) == 8
    assert 0.05 <= voice.temperature <= 20
    with pytest.raises(TypeError):
        face.preprocessing["size"] = 1


def test_manifests_keep_to_the_schema(face_model, voice_model):
    for path in [face_model.bundle / "manifest.json", voice_model.bundle / "manifest.json", *SHIPPED]:
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_bundles_have_the_files_their_manifest_names(face_model, voice_model):
    for folder in [face_model.bundle, voice_model.bundle, *(path.parent for path in SHIPPED)]:
        bundle = Bundle.load(folder)
        assert len(bundle.golden().logits) >= 8
        for kind in bundle.variants:
            bundle.model_file(kind)


CHANGES = {
    "schema is 2": lambda m: m.update(schema=2),
    "labels must be": lambda m: m["labels"].append("calm"),
    "labels must be a list of 2 or more": lambda m: m.update(labels=["happy"], skill=[0.5]),
    "outputs must be": lambda m: m.update(outputs=["Happy", *m["labels"][1:]]),
    "name is missing": lambda m: m.pop("name"),
    "name must be": lambda m: m.update(name="../up"),
    "unknown key colour": lambda m: m.update(colour="red"),
    "unknown key features": lambda m: m.update(features={}),
    "input.shape must be": lambda m: m["input"].update(shape=[2, 24, 24, 1]),
    "input.dtype must be": lambda m: m["input"].update(dtype="uint8"),
    "preprocessing must be": lambda m: m.update(preprocessing=[]),
    "variants must be one or more of": lambda m: m.update(variants={}),
    "variants must be": lambda m: m["variants"].update(int4=m["variants"]["int8"]),
    "variants.int8.file must be": lambda m: m["variants"]["int8"].update(file="../face.tflite"),
    "variants.int8.bytes must be": lambda m: m["variants"]["int8"].update(bytes=True),
    "variants.int8.sha256 must be": lambda m: m["variants"]["int8"].update(sha256="abc"),
    "variants.int8.input.scale must be": lambda m: m["variants"]["int8"]["input"].update(scale=0),
    "variants.int8.input.zero_point is missing": lambda m: m["variants"]["int8"]["input"].pop("zero_point"),
    "variants.int8 must be an object": lambda m: m["variants"].update(int8=[]),
    "calibration.temperature must be": lambda m: m["calibration"].update(temperature="warm"),
    "skill must be": lambda m: m["skill"].append(0.5),
    "metrics[0].uar must be": lambda m: m["metrics"][0].update(uar=1.5),
    "training_data[0].licence is missing": lambda m: m["training_data"][0].pop("licence"),
    "training_data must be": lambda m: m.update(training_data={}),
    "golden.file must be": lambda m: m["golden"].update(file="/etc/passwd"),
}


@pytest.mark.parametrize("expected", CHANGES)
def test_a_bad_manifest_is_refused_by_parser_and_schema(face_model, tmp_path, expected):
    folder = broken(face_model.bundle, tmp_path, CHANGES[expected])
    with pytest.raises(ModelError) as error:
        Bundle.load(folder)
    assert_sentence(error, str(folder / "manifest.json"), expected)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads((folder / "manifest.json").read_text()), SCHEMA)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda m: m["labels"].reverse(), "labels must be a list of 2 or more of angry disgust"),
        (
            lambda m: m.update(outputs=[*m["labels"][:6], None]),
            "outputs must be a list in which every label is found; neutral",
        ),
        (lambda m: m.update(labels=["happy", "sad"]), "skill must be a list of 2 numbers"),
    ],
)
def test_what_the_schema_cannot_tell_the_parser_refuses(face_model, tmp_path, change, expected):
    folder = broken(face_model.bundle, tmp_path, change)
    with pytest.raises(ModelError) as error:
        Bundle.load(folder)
    assert_sentence(error, str(folder / "manifest.json"), expected)


def test_outputs_are_summed_by_label_and_those_of_none_dropped(face_model, tmp_path):
    outputs = ["sad", None, "happy", "sad", "neutral", None, "happy"]
    folder = broken(
        face_model.bundle,
        tmp_path,
        lambda m: m.update(outputs=outputs, labels=["happy", "sad", "neutral"], skill=[0.5, 0.6, 0.7]),
    )
    jsonschema.validate(json.loads((folder / "manifest.json").read_text()), SCHEMA)
    model = open_model(Bundle.load(folder), "float32")
    for x in model.bundle.golden().inputs[:10]:
        shares = np.exp(model.logits(x).astype(np.float64) / model.temperature)
        summed = {"happy": shares[2] + shares[6], "sad": shares[0] + shares[3], "neutral": shares[4]}
        expected = [summed.get(label, 0) / sum(summed.values()) for label in LABELS]
        assert model.probabilities(x) == pytest.approx(expected)


def test_a_dropped_output_that_is_sure_leaves_the_others_as_they_are():
    probabilities = label_probabilities(np.array([5000.0, 1.0, 1.0]), [None, "sad", "happy"], LABELS)
    assert probabilities.tolist() == [0, 0, 0, 0.5, 0.5, 0, 0]


def test_a_bundle_whose_outputs_are_not_the_networks_is_refused(face_model, tmp_path):
    folder = broken(face_model.bundle, tmp_path, lambda m: m.update(outputs=[*m["labels"], None]))
    with pytest.raises(ModelError) as error:
        open_model(Bundle.load(folder), "float32")
    assert_sentence(error, "golden samples", "8 outputs of the manifest")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": NaN}', b"null", b"[" * 100_000], ids=range(7)
)
def test_a_manifest_that_is_no_json_object(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ModelError) as error:
        Bundle.load(tmp_path)
    assert_sentence(error, "manifest.json")


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ModelError) as error:
        Bundle.load(tmp_path / "nothing")
    assert_sentence(error, "not there")


def test_changed_missing_truncated_and_linked_files(face_model, tmp_path):
    folder = Path(shutil.copytree(face_model.bundle, tmp_path / "bundle"))
    bundle = Bundle.load(folder)
    path = folder / bundle.variants["int8"].file
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(100))
    with pytest.raises(ModelError) as error:
        bundle.model_file("int8")
    assert_sentence(error, str(path), "checksum is", "copy the bundle again")
    path.write_bytes(whole[:1000])
    with pytest.raises(ModelError) as error:
        bundle.model_file("int8")
    assert_sentence(error, "1000 bytes but the manifest says")
    path.unlink()
    with pytest.raises(ModelError) as error:
        bundle.model_file("int8")
    assert_sentence(error, "not there")
    outside = tmp_path / "outside.tflite"
    outside.write_bytes(whole)
    path.symlink_to(outside)
    with pytest.raises(ModelError) as error:
        bundle.model_file("int8")
    assert_sentence(error, "is a link")


def replace_int8(folder, content):
    """Put other content in place of the int8 model, with a manifest that vouches for it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    variant = manifest["variants"]["int8"]
    (folder / variant["file"]).write_bytes(content)
    variant.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("runtime", installed_runtimes())
@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (lambda whole: b"PK\x03\x04" + bytes(2000), "not a TFLite model"),
        (lambda whole: whole[:8], "cut or damaged"),
        (lambda whole: whole[: len(whole) // 2], "cut or damaged"),
        (lambda whole: whole[:-1], "cut or damaged"),
    ],
    ids=["foreign", "stub", "half", "a byte less"],
)
def test_a_foreign_or_truncated_model_that_the_manifest_vouches_for(face_model, tmp_path, spoil, wrong, runtime):
    folder = Path(shutil.copytree(face_model.bundle, tmp_path / "bundle"))
    model = folder / Bundle.load(folder).variants["int8"].file
    replace_int8(folder, spoil(model.read_bytes()))
    with pytest.raises(ModelError) as error:
        open_model(Bundle.load(folder), "int8", runtime=runtime)
    assert_sentence(error, f"{model}: {wrong}", "copy the file again, or convert the model again")


def test_another_networks_model(face_model, voice_model, tmp_path):
    folder = Path(shutil.copytree(face_model.bundle, tmp_path / "bundle"))
    replace_int8(folder, voice_model.variants["int8"].read_bytes())
    with pytest.raises(ModelError) as error:
        open_model(Bundle.load(folder), "int8")
    assert_sentence(error, "takes (1, 40, 12)", "the manifest says (1, 24, 24, 1)")


def test_another_quantization_than_the_manifest_says(face_model, tmp_path):
    folder = broken(face_model.bundle, tmp_path, lambda m: m["variants"]["int8"]["input"].update(scale=1.0))
    with pytest.raises(ModelError) as error:
        open_model(Bundle.load(folder), "int8")
    assert_sentence(error, "its tensors are int8")


def test_golden_samples_that_do_not_fit(face_model, tmp_path):
    folder = Path(shutil.copytree(face_model.bundle, tmp_path / "bundle"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for write in (
        lambda path: path.write_bytes(b"not an npz"),
        lambda path: np.savez(path, inputs=np.zeros((3, 5), np.int8), scale=np.float32(1), logits=np.zeros((3, 7))),
        lambda path: np.savez(path, inputs=np.zeros((3, 24, 24, 1), np.int8)),
        lambda path: np.savez(path, inputs=np.array([{}], object), scale=1.0, logits=np.zeros((1, 7))),
    ):
        write(folder / "golden.npz")
        changed = copy.deepcopy(manifest)
        changed["golden"]["sha256"] = hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest()
        (folder / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(ModelError) as error:
            Bundle.load(folder).golden()
        assert_sentence(error, "golden")


def test_an_unknown_variant_lists_what_there_is(face_model):
    with pytest.raises(ModelError) as error:
        open_model(Bundle.load(face_model.bundle), "float16")
    assert_sentence(error, "no variant 'float16'", "int8, float32")
