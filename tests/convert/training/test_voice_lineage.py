"""A shipped voice is trained on: its int8 variant has the LSTM whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectd.inference.bundle import Bundle
from affectd.voice.features import VoiceFeatures
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.datasets import speech
from affectd_convert.errors import TrainingError
from affectd_convert.training.plan import Stage
from affectd_convert.training.run_config import commands_of, read_config
from affectd_convert.training.voice import PLAN, VoiceRecipe, train_voice
from affectd_convert.training.voice_batches import WholeClips
from support.speech import speech as spoken

MODELS = Path(__file__).parents[3] / "models"
FOLDS = MODELS / "voice-cnn-lstm" / "folds"
RECIPE = VoiceRecipe(
    replace(PLAN, stages=(Stage(epochs=1),), batch_size=8, peak_rate=1e-6),
    architecture="cnn-lstm",
    fold=0,
    begin_with=FOLDS / "fold0",
    command="affectd-convert train voice --begin-with fold0",
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two actors, of whom fold 0 holds out one, with a clip of every label each."""
    folder = tmp_path_factory.mktemp("speech")
    sound = spoken(tmp_path_factory.mktemp("spoken"), "Kids are talking by the door.")[:16_000] / 32768
    for actor in (2, 3):
        for label in range(8):
            clip = np.roll(sound, 1000 * label) * (0.3 + 0.05 * label)
            soundfile.write(folder / f"03-01-{label + 1:02d}-01-01-01-{actor:02d}.wav", clip, 16_000)
    return folder


@pytest.mark.timeout(300)
def test_a_bundle_is_trained_on_as_it_is(corpora: Path, tmp_path: Path) -> None:
    import keras

    run = tmp_path / "run"
    model = keras.saving.load_model(train_voice(corpora, run, RECIPE), compile=False)
    # Hardly anything was learnt at this rate: what comes out is what it began with.
    features = VoiceFeatures.from_manifest(Bundle.load(FOLDS / "fold0").features)
    heard = WholeClips.of(speech.read_speech(corpora), features).inputs
    shipped = device_logits(FOLDS / "fold0" / "voice-cnn-lstm-int8.tflite", heard)
    assert np.corrcoef(model.predict(heard, verbose=0).ravel(), shipped.ravel())[0, 1] > 0.98
    assert read_config(run).begins_with is not None
    assert commands_of(run) == [*commands_of(FOLDS / "fold0" / "training"), RECIPE.command]


def test_a_bundle_that_heard_the_held_out_is_refused(corpora: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="held out fold 1; this run would hold out 0"):
        train_voice(corpora, tmp_path / "run", replace(RECIPE, begin_with=FOLDS / "fold1"))


def test_a_network_that_no_bundle_gives_back_is_told_of(corpora: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, architecture="cnn", begin_with=MODELS / "voice-cnn" / "folds" / "fold0")
    with pytest.raises(TrainingError, match=r"cannot be taken out of a bundle; begin with the run"):
        train_voice(corpora, tmp_path / "run", recipe)
