"""What a run is told to begin with and cannot: one sentence, and no folder is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectd_convert.errors import DataError, TrainingError
from affectd_convert.training.initial_weights import with_weights
from affectd_convert.training.voice import VoiceRecipe, train_voice, voice_config
from support.corpora import sound

MODELS = Path(__file__).parents[3] / "models"


def network(units: int) -> Any:
    import keras

    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(units, name="fc"), keras.layers.Dense(3)])


def test_weights_that_are_not_there_or_of_another_network_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.keras: is not there: that run is not finished; the command that"):
        with_weights(network(4), tmp_path)
    network(5).save(tmp_path / "model.keras")
    with pytest.raises(TrainingError, match=r"model\.keras: does not fit this network: ") as said:
        with_weights(network(4), tmp_path)
    assert "\n" not in str(said.value)
    (tmp_path / "model.keras").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"model\.keras: does not fit this network: "):
        with_weights(network(4), tmp_path)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The folder of one clip."""
    sound(tmp_path / "data" / "03-01-05-01-02-01-07.wav")
    return tmp_path / "data"


def recorded(folder: Path, record: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(record))
    return folder


def test_a_voice_begins_only_with_a_run_of_its_own_network_and_fold(corpus: Path, tmp_path: Path) -> None:
    own = voice_config(corpus, VoiceRecipe()).to_json()
    for name, record, error, said in (
        ("mlp", {**own, "architecture": "mlp"}, TrainingError, "is mlp; with --architecture mlp it is trained on"),
        ("face", {**own, "architecture": "vgg16"}, TrainingError, "is vgg16; it is for no voice"),
        ("fold", {**own, "data": {"fold": 1}}, TrainingError, "held out fold 1; this run would hold out None"),
        ("list", [], DataError, "not the record of a training run"),
    ):
        before = recorded(tmp_path / name, record)
        with pytest.raises(error, match=said):
            voice_config(corpus, VoiceRecipe(begin_with=before))
    with pytest.raises(TrainingError, match="face-vgg16: is vgg16; it is for no voice"):
        voice_config(corpus, VoiceRecipe(begin_with=MODELS / "face-vgg16"))
    assert voice_config(corpus, VoiceRecipe(begin_with=recorded(tmp_path / "same", own))).begins_with == own


def test_one_speaker_who_is_held_out_leaves_nothing_to_train_on(corpus: Path, tmp_path: Path) -> None:
    for emotion in range(1, 9):
        sound(corpus / f"03-01-{emotion:02d}-01-01-01-07.wav")
    with pytest.raises(DataError, match="held out fold 1 has all there is: no clip to train on labelled angry, "):
        train_voice(corpus, tmp_path / "run", VoiceRecipe(fold=1))
    assert not (tmp_path / "run").exists()
