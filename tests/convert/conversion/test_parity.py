"""Parity on every runtime: what passes, and what is caught."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from affectd.errors import ModelError
from affectd.inference import interpreter
from affectd.inference.golden import Parity, most_misses
from affectd.inference.interpreter import installed_runtimes
from affectd_convert.commands.main import main
from affectd_convert.conversion.float_model import parent_logits
from affectd_convert.conversion.parity import passed, print_table, verify_bundles, verify_variants
from support import tiny_models

pytestmark = pytest.mark.timeout(400)

MODELS = Path(__file__).parents[3] / "models"


def test_bundles_pass_on_both_runtimes(face_model, voice_model, capsys):
    rows = verify_bundles([face_model.bundle, voice_model.bundle])
    assert {(row.model, row.kind) for row in rows} >= {("face-tiny", "int8"), ("voice-tiny", "dynamic")}
    assert {row.runtime for row in rows} == set(installed_runtimes().values())
    assert passed(rows)
    print_table(rows)
    assert capsys.readouterr().out.count("ok\n") == len(rows)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["face-vgg16", "typo"], "typo: is not there; the bundles in"),
        (["README.md"], "README.md: no bundle; name folders such as models/face-vgg16"),
    ],
)
def test_what_is_no_bundle_is_a_sentence_before_anything_runs(names, sentence, capsys):
    assert main(["verify", *(str(MODELS / name) for name in names)]) == ModelError.exit_code
    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out


def test_the_bundles_of_folds_are_verified_under_their_own_names(face_model, tmp_path, capsys):
    whole = Path(shutil.copytree(face_model.bundle, tmp_path / "face"))
    shutil.copytree(face_model.bundle, whole / "folds" / "fold3")
    (tmp_path / "README.md").write_text("no bundle, as beside those in models")
    assert main(["verify", *map(str, tmp_path.iterdir())]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"face-tiny", "face-tiny/fold3"}
    (whole / "folds" / "fold3" / "golden.npz").write_bytes(b"")
    with pytest.raises(ModelError, match=r"fold3/golden\.npz: checksum is"):
        verify_bundles([whole])


def test_without_a_runtime_nothing_is_proven(face_model, monkeypatch):
    monkeypatch.setattr(interpreter, "_MODULES", {})
    with pytest.raises(ModelError, match=r"no TFLite runtime is installed; install one \(.* ai-edge-litert\)"):
        verify_bundles([face_model.bundle])


def test_a_bundle_is_verified_without_tensorflow(face_model):
    program = (
        "import sys, pathlib; from affectd_convert.conversion.parity import *;"
        "assert passed(verify_bundles([pathlib.Path(sys.argv[1])]));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, face_model.bundle], check=True)


def test_held_out_samples_give_accuracy_and_agreement(voice_model):
    inputs, truth = tiny_models.samples("voice", 60, seed=9)
    parent = parent_logits(voice_model.model, inputs)
    rows = verify_variants("voice", {"float16": voice_model.variants["float16"]}, inputs, parent, truth)
    for row in rows:
        assert row.accuracy == pytest.approx(np.mean(parent.argmax(1) == truth), abs=0.02)
        assert row.parity.agreement == 1


def test_another_parent_is_a_missed_bar(face_model):
    inputs, _ = tiny_models.samples("face", 40, seed=9)
    parent = parent_logits(face_model.model, inputs)
    rows = verify_variants("face", {"int8": face_model.variants["int8"]}, inputs, np.roll(parent, 1, axis=1))
    assert not passed(rows)
    assert "first answers differ" in rows[0].shortfall


def test_bars():
    parent = np.eye(7, dtype=np.float32)[np.arange(100) % 7] * 5
    flipped = {count: parent.copy() for count in (5, 6)}
    for count, logits in flipped.items():
        logits[:count] = np.roll(logits[:count], 1, axis=1)
    # scipy.stats.binom.sf(4, 100, 0.02) is 0.051, of one more 0.015.
    assert not Parity.of(flipped[5], parent).shortfall("int8")
    assert "6 of 100 first answers differ" in Parity.of(flipped[6], parent).shortfall("int8")
    assert "where 5 may by chance at 98.0%" in Parity.of(flipped[6], parent).shortfall("int8")
    assert "mean logit error" in Parity.of(parent + 1, parent).shortfall("int8")
    assert "mean logit error" in Parity.of(parent + 0.1, parent).shortfall("float16")
    assert Parity.of(np.full_like(parent, np.nan), parent).shortfall("int8")


@pytest.mark.parametrize(
    ("samples", "agreement", "most"),
    [(16, 0.98, 1), (237, 0.98, 9), (3589, 0.98, 86), (237, 0.995, 3), (10**6, 0.98, 20231)],
)
def test_the_bar_of_agreement_allows_what_chance_explains(samples, agreement, most):
    assert most_misses(samples, agreement) == most
