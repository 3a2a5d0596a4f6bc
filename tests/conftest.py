"""Fixtures that start the real parts tests run against."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import bundles
from support.broker import Mosquitto
from support.fault_table import FaultTable
from support.sound_server import SoundServer

# Before any test loads TensorFlow: loaded after it, this runtime crashes. It ends with CPython 3.11.
with contextlib.suppress(ImportError):
    import tflite_runtime.interpreter  # noqa: F401


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, metavar="FILE", help="append what each fault cost, as JSON lines")
    parser.addoption("--tiny-models", type=Path, metavar="FOLDER", help="keep the tiny models there, for all runs")


@pytest.fixture
def fault_table(request: pytest.FixtureRequest) -> FaultTable:
    """Where a test that makes a fault happen says what it cost."""
    return FaultTable(request.config.getoption("--fault-table"))


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
def face_model(request: pytest.FixtureRequest) -> bundles.Made:
    """A tiny face network that went through the toolchain: float32 and int8."""
    return bundles.made_once("face", _tiny_models(request))


@pytest.fixture(scope="session")
def voice_model(request: pytest.FixtureRequest) -> bundles.Made:
    """A tiny voice network with an LSTM that went through the toolchain: float16, dynamic and int8."""
    return bundles.made_once("voice", _tiny_models(request))


def _tiny_models(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the tiny models, by default one of this run that all its processes share."""
    chosen: Path | None = request.config.getoption("--tiny-models")
    if chosen:
        return chosen.absolute()
    own: Path = request.getfixturevalue("tmp_path_factory").getbasetemp()
    # pytest-xdist gives each process a folder below that of the run.
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny-models"
