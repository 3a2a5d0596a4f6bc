"""Bundles as they are written: whole, proven, with a card; what misses parity is left out."""

import dataclasses

import numpy as np
import pytest

from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.write import write_bundle
from affectd_convert.errors import ConversionError
from affectd_convert.evaluation.report import Split
from support import tiny_models

pytestmark = pytest.mark.timeout(400)


def test_a_bundle_holds_what_the_box_and_the_reader_need(voice_model):
    folder = voice_model.bundle
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "manifest.json",
        "golden.npz",
        "CARD.md",
        "voice-tiny-float16.tflite",
        "voice-tiny-dynamic.tflite",
        "voice-tiny-int8.tflite",
        "training/config.json",
        "training/history.csv",
        "training/confusion.png",
        "training/quantization.png",
        "training/reliability.png",
    }
    bundle = Bundle.load(folder)
    card = (folder / "CARD.md").read_text()
    for metrics in bundle.metrics:
        assert f"| {metrics.variant} | {metrics.accuracy:.4f}" in card
    assert "none needed" in card
    assert "the ECE is cross-fitted" in card
    assert (folder / "golden.npz").stat().st_size < 400_000


def test_figures_are_those_of_the_shipped_variant(face_model):
    bundle = Bundle.load(face_model.bundle)
    inputs, truth = tiny_models.samples("face", 200, seed=5)
    predicted = open_model(bundle, "int8").interpreter.run(inputs).argmax(axis=1)
    assert bundle.metrics[0].variant == "int8"
    assert bundle.metrics[0].accuracy == pytest.approx(np.mean(predicted == truth), abs=1e-6)
    assert bundle.variants["int8"].accuracy == bundle.metrics[0].accuracy
    recall = [np.mean(predicted[truth == label] == label) for label in range(7)]
    np.testing.assert_allclose(bundle.skill, recall, atol=1e-6)


def test_the_first_golden_samples_are_one_of_each_label(face_model):
    golden = Bundle.load(face_model.bundle).golden()
    assert sorted(golden.logits[:7].argmax(axis=1)) == list(range(7))


def a_description(face_model):
    bundle = Bundle.load(face_model.bundle)
    return Description(
        name="another",
        version="2",
        task="face",
        architecture="tiny",
        maturity="test",
        labels=bundle.labels,
        parameters={},
        training_data=[dataclasses.asdict(item) for item in bundle.training_data],
    )


def test_what_belongs_beside_and_cannot_be_written_leaves_the_old_folder_in_its_place(face_model, tmp_path):
    folder = tmp_path / "models" / "face"
    folder.mkdir(parents=True)
    (folder / "old").touch()

    def half(draft):
        (draft / "folds").mkdir()
        raise ConversionError("stopped in the middle of its folds")

    with pytest.raises(ConversionError, match="in the middle"):
        write_bundle(
            folder,
            a_description(face_model),
            run=face_model.model.parent,
            variants={"int8": face_model.variants["int8"]},
            held_out=Split("made up", *tiny_models.samples("face", 60, seed=5)),
            beside=half,
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["models", "face", "old"]


def test_a_model_that_learned_nothing_is_written_when_told_to_and_says_so(face_model, tmp_path):
    inputs, truth = tiny_models.samples("face", 60, seed=5)
    folder = tmp_path / "models" / "face"

    def write(even_so):
        return write_bundle(
            folder,
            a_description(face_model),
            run=face_model.model.parent,
            variants={"int8": face_model.variants["int8"]},
            # To each sample another one's label.
            held_out=Split("made up", inputs, np.roll(truth, 1)),
            even_so=even_so,
        )

    with pytest.raises(
        ConversionError, match=r"another: no bundle is written, for it is no better than always .*even-so"
    ):
        write(even_so=False)
    assert not folder.parent.exists()
    maturity = write(even_so=True).maturity
    assert maturity.startswith("not fit for use: it is no better than always ")
    assert maturity.endswith("; test")
    card = (folder / "CARD.md").read_text()
    assert maturity in card
    # Those that this run left, and none beside them.
    assert "Pictures in `training/`: `confusion.png` (the confusion matrix), `quantization.png` (" in card
    assert "curves.png" not in card


def test_a_variant_that_misses_parity_is_left_out_and_named(face_model, tmp_path, capsys):
    inputs, truth = tiny_models.samples("face", 60, seed=5)
    folder = tmp_path / "models" / "wide"

    def write(*kinds):
        return write_bundle(
            folder,
            a_description(face_model),
            run=face_model.model.parent,
            variants={kind: face_model.variants[kind] for kind in kinds},
            # Far outside the ranges that int8 was calibrated for.
            held_out=Split("made up", 30 * inputs, truth),
            even_so=True,
            remarks=["Something else was tried."],
        )

    with pytest.raises(ConversionError, match="no bundle is written, parity is missed: int8 on LiteRT"):
        write("int8")
    assert not (tmp_path / "models").exists()
    assert list(write("int8", "float32").variants) == ["float32"]
    missed = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("int8 is left out: on "))
    assert "of 60 first answers differ" in missed
    card = (folder / "CARD.md").read_text()
    assert f"- Something else was tried.\n- {missed}\n" in card
    assert "| int8 |" not in card
