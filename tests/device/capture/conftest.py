"""Which tests of cameras this Python can run, and a clip for several of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.clips import FLASH_S
from support.gstreamer import find_gi
from support.media import flash_and_beep, write_clip

collect_ignore = [] if find_gi() else ["test_gstreamer_camera.py"]


def pytest_report_header() -> str:
    if not collect_ignore:
        return "GStreamer: tested"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"GStreamer: not tested, for there is no PyGObject (python3-gi) for Python {version} here"


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with a flash and a beep at the same instant."""
    frames, sound = flash_and_beep(3.0, FLASH_S)
    return write_clip(tmp_path_factory.mktemp("clips") / "kiosk.mp4", frames=frames, sound=sound)
