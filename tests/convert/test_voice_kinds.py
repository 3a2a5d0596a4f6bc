"""A Keras network for each kind of voice features, from its bundle to readings by the daemon's own reader."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from affectd.assembly import make_voice_reader
from affectd.config import Config, VoiceConfig
from affectd.errors import ModelError
from affectd.events import AudioChunk
from affectd.inference import bundle as bundles
from affectd.inference.bundle import Bundle
from affectd.inference.model import open_model
from affectd.voice.speech_frames import SpeechFrameExtractor
from support.bundles import broken
from support.speech import RATE, speech
from support.voice_kinds import KINDS

SCHEMA = json.loads(Path(bundles.__file__).with_name("manifest.schema.json").read_text())
CONFIG = Config(voice=VoiceConfig(activity="level"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a bundle for each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "support.voice_kinds", str(folder)]
    subprocess.run(command, cwd=Path(__file__).parents[1], env=environment, check=True, timeout=200)
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Some four seconds of speech, (n,) int16."""
    text = "Good morning! I am really very happy to see you here, my friend."
    return speech(tmp_path_factory.mktemp("said"), text).astype(np.int16)


@pytest.mark.parametrize("kind", KINDS)
def test_the_daemon_reads_a_voice_by_each_kind(made, said, kind):
    jsonschema.validate(json.loads((made / kind / "manifest.json").read_text()), SCHEMA)
    model = open_model(Bundle.load(made / kind), "float32")
    reader = make_voice_reader(CONFIG, model)
    chunks = [AudioChunk(said[at : at + 1600], RATE, (at + 1600) / RATE) for at in range(0, len(said) - 1600, 1600)]
    last = [reading for chunk in chunks for reading in reader.feed(chunk) if reading.active][-1]
    # The same from the sound up to then, in one piece.
    features, shape = KINDS[kind]
    samples = said[: round(last.captured_at * RATE)]
    stream = features.stream()
    stream.push(samples, SpeechFrameExtractor().extract(samples))
    assert last.probabilities == pytest.approx(model.probabilities(stream.window().reshape(shape)), abs=1e-4)
    assert max(last.probabilities) > 0.15
    # After a gap nothing of before is left.
    reader.feed(AudioChunk(np.zeros(1600, np.int16), RATE, 100.0, lost=1600))
    rest = reader.feed(AudioChunk(np.zeros(2 * RATE, np.int16), RATE, 102.0))
    assert [reading.active for reading in rest] == [False] * len(rest)


def test_a_network_that_does_not_fit_its_features_is_refused(made, tmp_path):
    copy = broken(made / "log-mel", tmp_path, lambda manifest: manifest["features"].update(window_frames=128))
    with pytest.raises(
        ModelError,
        match=r"manifest.json: the network takes \(1, 94, 32, 1\), but features of kind log-mel are \(1, 128, 32\)",
    ):
        make_voice_reader(CONFIG, open_model(Bundle.load(copy), "float32"))
