"""Which bundle and which of its variants the settings come to, and what is said where they come to none."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectd import assembly
from affectd.config import Config, InferenceConfig
from affectd.errors import ModelError
from affectd.inference.bundle import Bundle
from affectd.inference.installed import installed_models
from affectd.inference.model import open_model
from support.linear_models import linear_bundle


def settings(**inference: Any) -> Config:
    return dataclasses.replace(Config(), inference=InferenceConfig(**inference))


def tiny(folder: Path, **changes: Any) -> Path:
    weights = np.random.default_rng(1).normal(0, 1, (2, 8, 12, 3)).astype(np.float32)
    arguments: dict[str, Any] = {"preprocessing": {"size": [8, 12], "channels": 3}, "labels": ["happy", "sad"]}
    return linear_bundle(folder, (8, 12, 3), weights, **{**arguments, **changes})


def test_an_own_face_model_stands_beside_the_shipped_voice(tmp_path: Path) -> None:
    config = settings(face_model=str(tiny(tmp_path / "mine")), face_variant="float32")
    face, voice = (assembly.configured_bundle(config, task) for task in ("face", "voice"))
    assert face is not None
    assert voice is not None
    assert (face.folder, voice.folder) == (tmp_path / "mine", installed_models() / "voice-cnn-lstm")
    assert assembly.configured_variant(config, face) == ("float32", "")
    assert assembly.configured_variant(config, voice) == ("int8", "")
    assert assembly.configured_bundle(settings(face_model=str(tmp_path / "mine"), face="off"), "face") is None


@pytest.mark.parametrize(
    ("face_model", "sentence"),
    [
        ("models/lost", "models/lost: is not there; the bundles in {}/models: good"),
        ("nowhere/lost", "nowhere/lost: is not there, and neither is {}/nowhere; a bundle is a folder with a manifest"),
        (
            "run",
            "run: has no manifest.json, but model.keras; a bundle is a folder with a manifest.json, as `affectd-conv",
        ),
        ("run/model.keras", "run/model.keras: is a file; a bundle is a folder"),
        ("voice", "voice: is a voice model; inference.face_model needs one for the face"),
    ],
)
def test_a_folder_that_is_no_bundle_for_faces_is_told_with_what_is_there(
    tmp_path: Path, face_model: str, sentence: str
) -> None:
    tiny(tmp_path / "models" / "good")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").touch()
    (tmp_path / "voice").mkdir()
    shutil.copy(installed_models() / "voice-cnn-lstm" / "manifest.json", tmp_path / "voice")
    with pytest.raises(ModelError) as error:
        assembly.configured_bundle(settings(face_model=str(tmp_path / face_model)), "face")
    assert f"{tmp_path}/{sentence.format(tmp_path)}" in str(error.value)


def test_a_model_that_does_not_take_what_is_made_for_it_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.load(tiny(tmp_path / "mine", preprocessing={"size": 8, "channels": 3}))
    with pytest.raises(
        ModelError, match=r"mine/manifest.json: the network takes \(1, 8, 12, 3\), but by preprocessing"
    ):
        assembly.make_face_reader(Config(), open_model(bundle, "float32"))


def test_a_model_that_answers_no_numbers_on_its_golden_samples_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.load(tiny(tmp_path / "mine", bias=np.array([np.nan, 0], np.float32)))
    with pytest.raises(ModelError, match="answers NaN or infinity on the golden samples; convert it again"):
        open_model(bundle, "float32")
