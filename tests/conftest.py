"""Fixtures that start the real parts tests run against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import bundles
from support.broker import Mosquitto
from support.sound_server import SoundServer

# Before any test loads TensorFlow: loaded after it, this runtime crashes. It ends with CPython 3.11.
with contextlib.suppress(ImportError):
    import tflite_runtime.interpreter  # noqa: F401


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A plain broker that lets everybody in."""
    with Mosquitto(tmp_path) as mosquitto:
        yield mosquitto


@pytest.fixture
def sound_server() -> Iterator[SoundServer]:
    """A PulseAudio server whose microphone hears what is played to it."""
    with SoundServer() as server:
        yield server


@pytest.fixture(scope="session")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> bundles.Made:
    """A tiny face network that went through the toolchain: float32 and int8."""
    return bundles.make("face", tmp_path_factory.mktemp("face"))


@pytest.fixture(scope="session")
def voice_model(tmp_path_factory: pytest.TempPathFactory) -> bundles.Made:
    """A tiny voice network with an LSTM that went through the toolchain: float16, dynamic and int8."""
    return bundles.make("voice", tmp_path_factory.mktemp("voice"))
